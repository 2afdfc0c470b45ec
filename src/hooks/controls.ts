/**
 * The runtime controls of the acl and auth plugins: rules and users that come and go while the broker runs. Called by
 * operators on the host's thread. Each change is a reload with the new config, made in the order asked for, and is in force
 * in every lane when its promise resolves; one that is refused leaves the plugin as it was. A reload replaces the lanes of
 * the plugin's bulkhead: give a plugin whose config changes often a bulkhead of its own.
 */
import type { PluginOptions } from '../contracts/options.js'
import type { AclConfig, AclRule } from './acl.js'
import type { AuthConfig } from './auth.js'

/** The part of a HookEngine that is needed here. */
export interface ReloadingEngine {
  reload(name: string, change: (present: Readonly<PluginOptions>) => Partial<PluginOptions> | null): Promise<void>
}

export interface AclControl {
  /** Adds rules behind those that there are. @throws HookringError PLUGIN_UNKNOWN, PLUGIN_CONFIG_INVALID (a rule that is none) */
  addRule(...rules: AclRule[]): Promise<void>
  /** From then on `denyByDefault` decides everything. @throws HookringError PLUGIN_UNKNOWN */
  clearRules(): Promise<void>
}

export interface AuthControl {
  /**
   * Adds a user or changes his password, plain or as hashPassword makes it. A plugin without credentials, which lets
   * everybody in, has this one user afterwards. @throws HookringError PLUGIN_UNKNOWN
   */
  addUser(username: string, password: string): Promise<void>
  /** False: there was none of this name. Who is connected stays so. @throws HookringError PLUGIN_UNKNOWN */
  removeUser(username: string): Promise<boolean>
}

/** Controls the acl plugin that is registered under this name. */
export function aclControl(engine: ReloadingEngine, name = 'acl'): AclControl {
  const withRules = (next: (rules: readonly AclRule[]) => readonly AclRule[]) =>
    engine.reload(name, ({ config }) => {
      const present = (config ?? {}) as NonNullable<AclConfig>
      return { config: { ...present, rules: next(present.rules ?? []) } }
    })
  return {
    addRule: (...rules) => withRules((present) => [...present, ...rules]),
    clearRules: () => withRules(() => []),
  }
}

/** Controls the auth plugin that is registered under this name. */
export function authControl(engine: ReloadingEngine, name = 'auth'): AuthControl {
  return {
    addUser: (username, password) =>
      engine.reload(name, ({ config }) => {
        const present = (config ?? {}) as NonNullable<AuthConfig>
        return { config: { ...present, credentials: { ...present.credentials, [username]: password } } }
      }),
    async removeUser(username) {
      let wasThere = false
      await engine.reload(name, ({ config }) => {
        const present = (config ?? {}) as NonNullable<AuthConfig>
        const { [username]: gone, ...rest } = present.credentials ?? {}
        wasThere = gone !== undefined
        return wasThere ? { config: { ...present, credentials: rest } } : null
      })
      return wasThere
    },
  }
}
