/**
 * A thread in which a plugin is looked at from close by: imported, set up, its hooks called, destroyed, with each step
 * measured and watched. A worker of its own (probe.ts starts it), so that what the plugin does there ends with it.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { parentPort, workerData } from 'node:worker_threads'
import type { Plugin } from '../../../plugin/index.js'
import { runInline } from '../../../testing/index.js'
import { findContract } from '../../common/contracts.js'
import { importPlugin } from '../../common/plugin-modules.js'
import { describeConfig } from './config-schema.js'
import { exerciseHooks } from './exercise.js'
import type { ProbeSays, ProbeTask } from './probe-protocol.js'
import { liveHandles, settledHandles, usedBytes } from './residue.js'
import { watchDefinition } from './watched-plugin.js'

const port = parentPort as NonNullable<typeof parentPort>
const say = (said: ProbeSays) => port.postMessage(said)

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => say({ kind: 'uncaught', message: messageOf(error) }))
}

try {
  await probe(workerData as ProbeTask)
} catch (error) {
  const { code } = (error ?? {}) as { code?: unknown }
  say({ kind: 'refused', code: typeof code === 'string' ? code : 'PLUGIN_SETUP_FAILED', message: messageOf(error) })
}
// What the plugin left behind would keep the thread.
port.close()
setImmediate(() => process.exit(0))

async function probe(task: ProbeTask): Promise<void> {
  const handlesBefore = liveHandles()
  const bytesBefore = usedBytes(collectGarbage)
  say({ kind: 'stage', stage: 'import' })
  const began = performance.now()
  const module = await importPlugin(task.url)
  say({ kind: 'imported', ms: performance.now() - began })
  const definition = module.default as Plugin | undefined
  const contract = await findContract(task.contract, task.url)
  const name = definition?.name
  say({
    kind: 'definition',
    name: typeof name === 'string' && /^[a-z0-9][a-z0-9._-]{0,63}$/i.test(name) ? name : null,
    contract: contract.id,
    config: describeConfig(definition?.config),
  })

  say({ kind: 'stage', stage: 'setup' })
  const watched = watchDefinition(definition, contract, (names) =>
    say({ kind: 'unknownHooks', names, known: Object.keys(contract.hookpoints) }),
  )
  const run = await runInline(watched.definition as Plugin, {
    contract,
    config: task.config as undefined,
    name: task.name,
    timeoutMs: task.timeoutMs,
  })
  say({
    kind: 'setUp',
    ms: watched.setupMs(),
    hooks: watched.hooks(),
    loadBytes: usedBytes(collectGarbage) - bytesBefore,
  })
  if (task.events !== null) {
    say({ kind: 'stage', stage: 'hooks' })
    say({
      kind: 'exercised',
      hooks: await exerciseHooks({ ...task, events: task.events, run, watched, collectGarbage }),
    })
  }

  say({ kind: 'stage', stage: 'destroy' })
  const closing = performance.now()
  const failures: Partial<Record<'onShutdown' | 'destroy', string>> = {}
  const thrown = await run.shutdown().then(() => null, asThrown)
  if (thrown !== null) failures.onShutdown = messageOf(thrown.error)
  const last = await run.close().then(() => null, asThrown)
  // close() tells again what shutdown() has told, unless destroy has something to say.
  if (last !== null && last.error !== thrown?.error) failures.destroy = messageOf(last.error)
  const ms = performance.now() - closing
  say({ kind: 'closed', ms, failures, handles: await settledHandles(handlesBefore) })
}

function asThrown(error: unknown): { error: unknown } {
  return { error }
}

function messageOf(error: unknown): string {
  try {
    if (!(error instanceof Error)) return String(error)
    return (error as { code?: unknown }).code === undefined ? `${error.name}: ${error.message}` : error.message
  } catch {
    return 'an error that cannot be described'
  }
}
