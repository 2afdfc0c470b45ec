/** Turns the plugins of a config file into what the engine takes. Main thread. */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { ServePlugin, ShippedHook } from '../../contracts/serve-config.js'
import * as hooks from '../../hooks/index.js'
import type { PluginOptions } from '../../index.js'

type Register = (config: never, options: hooks.RegistrationOptions) => PluginOptions

const SHIPPED: Readonly<Record<ShippedHook, Register>> = {
  noop: (_, options) => hooks.noop(options),
  acl: hooks.acl,
  auth: hooks.auth,
  'rate-limit': hooks.rateLimit,
  logger: hooks.logger,
  sys: hooks.sys,
  redis: hooks.redis,
  cluster: hooks.cluster,
  'payload-limiter': hooks.payloadLimiter,
  'login-auditor': hooks.loginAuditor,
  tracing: hooks.tracing,
}

/** Files are relative to the config file; packages are found as from the current folder. */
export function pluginsOf(plugins: readonly ServePlugin[], folder: string): PluginOptions[] {
  return plugins.map(({ hook, from, ...options }) => {
    if (hook !== undefined) {
      const { config, ...rest } = options as { config?: never }
      return SHIPPED[hook](config as never, rest)
    }
    const isFile = typeof from === 'string' && /^\.{0,2}\//.test(from)
    const { sourceRoots: named } = options as Pick<PluginOptions, 'sourceRoots'>
    const sourceRoots = named?.map((root) => (typeof root === 'string' ? resolve(folder, root) : root))
    return {
      ...options,
      from: isFile ? pathToFileURL(resolve(folder, from)) : (from as string | URL),
      ...(sourceRoots === undefined ? {} : { sourceRoots }),
    }
  })
}
