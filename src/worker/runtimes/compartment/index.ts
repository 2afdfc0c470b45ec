/**
 * Runtime `compartment`: the plugin's bundle in a compartment of hardened JavaScript (ses), with no authority but what it is
 * handed: its config, frozen copies of events, a logger. It cannot reach Node.js, other plugins, or the server's state. It
 * can still take time and memory, which only replacing the lane gives back; and a huge allocation ends the process: this is
 * no promise of availability. The lane's thread only, or a child process.
 */
import { HookringError } from '../../../contracts/errors.js'
import { reject as rejectWith, replace as replaceWith } from '../../../plugin/index.js'
import { isThenable, readResult } from '../../../plugin/result.js'
import { definitionIn, describe, type HookFunction, ownNameOf, setUpPlugin } from '../../../plugin/setup.js'
import type { CallContext } from '../call-context.js'
import { codeOf } from '../code.js'
import type { PluginPlace, Runtime } from '../runtime.js'
import type * as Border from './border.js'
import type * as Realm from './realm.js'

export const compartmentRuntime: Runtime = {
  async load(place) {
    const { plugin, contract, hookpoints, named, logger } = place
    const source = Buffer.from(await codeOf(place)).toString('utf8')
    const { realm, border } = await hardenedRealm(place)
    const exported = run(place, () => {
      // Before it has told its name, it prints under the operator's.
      const globals = { console: border.frozenConsole(logger(plugin.name)) }
      return realm.runInCompartment(source, plugin.name, globals)
    })
    const definition = definitionIn(exported, plugin.name)
    const name = plugin.isNamed ? plugin.name : ownNameOf(definition, plugin.name)
    named(name)
    const log = border.frozenLogger(logger(name))
    const config = realm.hardened(structuredClone(plugin.config))
    const instance = await setUpPlugin(definition, { name, config, log, contract, hookpoints })
    const given = { plugin: name, config: realm.hardened(instance.config), log }
    return {
      ...instance,
      takes: 'event',
      hooks: instance.hooks.map((hook, index): HookFunction | undefined => {
        const kind = hookpoints[index]?.kind
        if (hook === undefined || kind === undefined) return undefined
        return (event, ctx) => {
          const result = hook(border.frozenEvent(event), border.frozenContext(ctx as CallContext, given))
          if (!isThenable(result)) return verdictIn(kind, result)
          return Promise.resolve(result).then((settled) => verdictIn(kind, settled))
        }
      }),
    }
  },
}

/** A result whose parts were read once, here. What encodes an event or an answer reads each of its fields once as well. */
function verdictIn(kind: Parameters<typeof readResult>[0], result: unknown): unknown {
  const read = readResult(kind, result)
  switch (read.kind) {
    case 'continue':
      return undefined
    case 'reject':
      return rejectWith(read.reason, read.code)
    case 'replace':
      return replaceWith(read.event)
    case 'respond':
      return read.value
    case 'invalid':
      // As a bad value of the plugin's would be.
      throw new HookringError('EVENT_INVALID', read.message)
  }
}

async function hardenedRealm({ plugin }: PluginPlace): Promise<{ realm: typeof Realm; border: typeof Border }> {
  let realm: typeof Realm
  try {
    realm = await import('./realm.js')
  } catch (error) {
    throw new HookringError(
      'SES_MISSING',
      `plugin ${plugin.name} runs in a compartment, which takes ses: install it (npm install ses)`,
      { cause: error },
    )
  }
  const border = await import('./border.js')
  realm.lockRealm()
  return { realm, border }
}

function run<T>({ plugin }: PluginPlace, body: () => T): T {
  try {
    return body()
  } catch (error) {
    const what = error instanceof SyntaxError ? 'is not admitted to a compartment' : 'threw while it was imported'
    throw new HookringError('PLUGIN_IMPORT_FAILED', `plugin ${plugin.name} ${what}: ${describe(error)}`, {
      cause: error,
    })
  }
}
