/**
 * A plugin behind the C ABI, whatever machine it runs on: events go in as structs, result codes come out as verdicts. The
 * order of a life is init, hooks, on_shutdown, destroy. The lane's thread only.
 */
import type { PluginSpec } from '../../../contracts/control.js'
import { HookringError } from '../../../contracts/errors.js'
import { type PluginLogger, type Reject, reject } from '../../../plugin/index.js'
import type { HookFunction } from '../../../plugin/setup.js'
import type { EventBytes, PluginPlace, RuntimePlugin } from '../runtime.js'
import { createEventWriter, type EventWriter } from './event-writer.js'
import { bytesOf, type CModel, layoutOf, SLOTS, type SlotName, USER_ARGUMENTS } from './layout.js'
import type { CMemory, CValue } from './memory.js'

/** A slot of the vtable, with user_data bound. */
export type CFunction = (a?: CValue, b?: CValue, c?: CValue, d?: CValue) => CValue | undefined

/** A plugin whose qpc_plugin_init has returned 0. */
export interface CGuest {
  /** Read once, after init. Null: the plugin left the slot null. */
  readonly functions: Readonly<Record<SlotName, CFunction | null>>
  /** Memory for an event of that many bytes, until the next call has returned. */
  room(bytes: number): CMemory
  /** The null-terminated text at the address, cut at MAX_REASON_BYTES; null when it is not in the plugin's memory. */
  readReason(address: CValue): string | null
  /** After `destroy`. */
  dispose?(): void
}

/** Far more than is passed on; a plugin that never terminates its reasons costs no more than this. */
export const MAX_REASON_BYTES = 4096

const CONTRACT = { name: 'delivery', version: 1 } as const

/**
 * @param start makes the guest; it runs when all that does not need the plugin's code has been checked
 * @throws HookringError PLUGIN_CONTRACT_MISMATCH, PLUGIN_CONFIG_INVALID, and what `start` throws
 */
export async function loadCPlugin(
  place: PluginPlace,
  model: CModel,
  start: (plugin: { name: string; log: PluginLogger }) => Promise<CGuest>,
): Promise<RuntimePlugin> {
  const { name } = place.plugin
  checkConfig(place.plugin)
  const writers = writersFor(place, model)
  place.named(name)
  const log = place.logger(name)
  const guest = await start({ name, log })
  const { on_shutdown, destroy } = guest.functions
  return {
    name,
    config: undefined,
    log,
    hooks: writers.map((writer) => hookOf(writer, guest, name, model)),
    onShutdown: on_shutdown === null ? undefined : () => void on_shutdown(),
    destroy: destroy === null ? undefined : () => void destroy(),
    takes: 'bytes',
    ...(guest.dispose === undefined ? {} : { dispose: guest.dispose }),
  }
}

function checkConfig({ name, config }: PluginSpec): void {
  if (config === undefined) return
  throw new HookringError(
    'PLUGIN_CONFIG_INVALID',
    `plugin ${name} takes no config: the C ABI has no way to hand it over; compile it in`,
  )
}

function writersFor({ plugin: { name }, contract, hookpoints }: PluginPlace, model: CModel): EventWriter[] {
  if (contract.name !== CONTRACT.name || contract.version !== CONTRACT.version) {
    throw new HookringError(
      'PLUGIN_CONTRACT_MISMATCH',
      `plugin ${name} is behind the C ABI, which is that of ${CONTRACT.name}@${CONTRACT.version}; the engine asks ${contract.name}@${contract.version}`,
    )
  }
  return hookpoints.map((point) => {
    const writer = createEventWriter(point, model)
    if (writer !== null) return writer
    throw new HookringError(
      'PLUGIN_CONTRACT_MISMATCH',
      `plugin ${name} is behind the C ABI of ${CONTRACT.name}@${CONTRACT.version}, and ${point.name} of the engine's contract is no hookpoint of that; use the contract that hookring/contracts exports`,
    )
  })
}

function hookOf(writer: EventWriter, guest: CGuest, plugin: string, model: CModel): HookFunction | undefined {
  const { slot, passing } = writer
  const call = guest.functions[slot]
  if (call === null) return undefined

  const put = (event: unknown): CMemory => guest.room(writer.room(event as EventBytes))
  if (slot === 'on_message_enqueue') {
    const refuse = refusalOf(guest, plugin)
    return (event) => {
      const memory = put(event)
      writer.write(memory, event as EventBytes)
      return call(memory.address) === HOOK_CONTINUE ? undefined : refuse()
    }
  }
  switch (passing) {
    case 'pointer':
      return (event) => {
        const memory = put(event)
        writer.write(memory, event as EventBytes)
        call(memory.address)
      }
    case 'array':
      return (event) => {
        const memory = put(event)
        const count = writer.write(memory, event as EventBytes)
        call(memory.address, count)
      }
    case 'fields': {
      const read = argumentsReader(model)
      return (event) => {
        const memory = put(event)
        writer.write(memory, event as EventBytes)
        const [a, b, c, d] = read(memory)
        call(a, b, c, d)
      }
    }
  }
}

const HOOK_CONTINUE = 0

/** Asks the plugin why; at once, for the reason stands only until its next call. */
function refusalOf({ functions: { error_message }, readReason }: CGuest, plugin: string): () => Reject {
  const generic = `rejected by plugin ${plugin}`
  return () => {
    const address = error_message?.() ?? 0
    if (Number(address) === 0) return reject(generic)
    const reason = readReason(address)
    if (reason !== null) return reject(reason === '' ? generic : reason)
    throw new HookringError(
      'EVENT_INVALID',
      `error_message gave 0x${address.toString(16)}, where no text ends within the plugin's memory`,
    )
  }
}

/** The four arguments of on_user_registered, as they have just been written. */
function argumentsReader(model: CModel): (memory: CMemory) => CValue[] {
  const { offsets } = layoutOf(USER_ARGUMENTS, model)
  const places = Object.values(offsets)
  const isWide = bytesOf(SLOTS.on_user_registered.parameters[0], model) === 8
  return ({ view }) => places.map((at) => (isWide ? view.getBigUint64(at, true) : view.getUint32(at, true)))
}
