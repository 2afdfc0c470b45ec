/**
 * Runs a plugin in a test as a server would: an engine with that one plugin, in a thread of its own.
 */
import type { Contract, Hookpoints } from '../contracts/contract.js'
import { createHookEngine, type EngineOptions, type HookEngine, type PluginOptions } from '../index.js'
import { createEngineLog, type LogEntry } from './inline/logs.js'

/** What an operator says of the plugin, and the contract. */
export type LaneOptions<Points extends Hookpoints> = PluginOptions & {
  /** The contract that the plugin is written for. */
  contract: Contract<Points>
  /** Options of the engine around it. */
  engine?: Omit<EngineOptions<Points>, 'contract' | 'plugins' | 'logger'>
}

export interface LaneRun<Points extends Hookpoints> extends HookEngine<Points> {
  /**
   * What the plugin has logged, printed or let fall, and what the engine itself had to say. Lines come over from the
   * lane's thread in their own time: all of them are there once close() has resolved.
   */
  readonly logs: readonly LogEntry[]
}

/**
 * Starts an engine with one plugin and no spare thread. Close it, or open it with `await using`.
 *
 * @throws HookringError as createHookEngine does
 */
export async function runInLane<Points extends Hookpoints>(options: LaneOptions<Points>): Promise<LaneRun<Points>> {
  const { contract, engine: engineOptions, ...plugin } = options
  const logs: LogEntry[] = []
  const engine = await createHookEngine<Points>({
    spares: 0,
    ...engineOptions,
    contract,
    plugins: [plugin],
    logger: createEngineLog(logs),
  })
  return Object.assign(engine, { logs })
}
