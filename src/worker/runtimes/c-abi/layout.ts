/**
 * The C ABI of delivery@1: the structs, the vtable and its functions, as the plugin API's header declares them, and where
 * repr(C) puts their fields. Types are written down here once; offsets and sizes are computed from them for each machine.
 * Pure. sdk/c/hookring_plugin.h declares the same for C; a test asks the compiler whether the two agree.
 */

export type CType = 'pointer' | 'size' | 'i32' | 'u64' | 'function'

/** What a machine makes of the types. All of them are little-endian here. */
export interface CModel {
  readonly name: 'wasm32' | 'lp64'
  /** Of pointers, function pointers and sizes. In wasm32 a function pointer is an index into the table. */
  readonly pointerBytes: 4 | 8
}
export const WASM32: CModel = { name: 'wasm32', pointerBytes: 4 }
/** x86-64 and aarch64; 64-bit Windows differs in types that do not occur here. */
export const LP64: CModel = { name: 'lp64', pointerBytes: 8 }

export interface CStruct {
  readonly name: string
  readonly fields: Readonly<Record<string, CType>>
}

/**
 * Of `x` and `x_len` the first points to what the second counts. Names are those of the event's fields in snake_case.
 */
export const MESSAGE_EVENT = {
  name: 'CMessageEvent',
  fields: {
    sender_identity: 'pointer',
    sender_identity_len: 'size',
    recipient_key: 'pointer',
    recipient_key_len: 'size',
    channel_id: 'pointer',
    channel_id_len: 'size',
    payload_len: 'size',
    seq: 'u64',
  },
} as const satisfies CStruct

export const AUTH_EVENT = {
  name: 'CAuthEvent',
  fields: {
    username: 'pointer',
    username_len: 'size',
    success: 'i32',
    failure_reason: 'pointer',
    failure_reason_len: 'size',
  },
} as const satisfies CStruct

export const CHANNEL_EVENT = {
  name: 'CChannelEvent',
  fields: {
    channel_id: 'pointer',
    channel_id_len: 'size',
    initiator_key: 'pointer',
    initiator_key_len: 'size',
    peer_key: 'pointer',
    peer_key_len: 'size',
    was_new: 'i32',
  },
} as const satisfies CStruct

export const FETCH_EVENT = {
  name: 'CFetchEvent',
  fields: {
    recipient_key: 'pointer',
    recipient_key_len: 'size',
    channel_id: 'pointer',
    channel_id_len: 'size',
    message_count: 'size',
  },
} as const satisfies CStruct

/** No struct of the ABI: the arguments of on_user_registered, in memory for as long as it takes to read them back. */
export const USER_ARGUMENTS = {
  name: 'arguments of on_user_registered',
  fields: {
    username: 'pointer',
    username_len: 'size',
    identity_key: 'pointer',
    identity_key_len: 'size',
  },
} as const satisfies CStruct

export interface CFunctionType {
  /** Behind user_data, which comes first. */
  readonly parameters: readonly CType[]
  readonly result: CType | null
}

/** The vtable's functions, in the order in which they stand behind `user_data`. */
export const SLOTS = {
  on_message_enqueue: { parameters: ['pointer'], result: 'i32' },
  on_batch_enqueue: { parameters: ['pointer', 'size'], result: null },
  on_auth: { parameters: ['pointer'], result: null },
  on_channel_created: { parameters: ['pointer'], result: null },
  on_fetch: { parameters: ['pointer'], result: null },
  on_user_registered: { parameters: ['pointer', 'size', 'pointer', 'size'], result: null },
  error_message: { parameters: [], result: 'pointer' },
  destroy: { parameters: [], result: null },
  on_shutdown: { parameters: [], result: null },
} as const satisfies Readonly<Record<string, CFunctionType>>

export type SlotName = keyof typeof SLOTS
export const SLOT_NAMES = Object.keys(SLOTS) as readonly SlotName[]

export const VTABLE: CStruct = {
  name: 'HookVTable',
  fields: {
    user_data: 'pointer',
    ...(Object.fromEntries(SLOT_NAMES.map((name) => [name, 'function'])) as Record<SlotName, 'function'>),
  },
}

export const INIT_EXPORT = 'qpc_plugin_init'

/** Every struct that the header declares. */
export const STRUCTS: readonly CStruct[] = [VTABLE, MESSAGE_EVENT, AUTH_EVENT, CHANNEL_EVENT, FETCH_EVENT]

export interface CLayout {
  /** Bytes from the start of the struct, in declaration order. */
  readonly offsets: Readonly<Record<string, number>>
  /** Distance between elements of an array. */
  readonly sizeBytes: number
  readonly alignBytes: number
}

/** repr(C): fields in order, each at the next multiple of its alignment, the whole a multiple of the widest one's. */
export function layoutOf(struct: CStruct, model: CModel): CLayout {
  const offsets: Record<string, number> = {}
  let end = 0
  let widest = 1
  for (const [name, type] of Object.entries(struct.fields)) {
    const bytes = bytesOf(type, model)
    const at = alignUp(end, bytes)
    offsets[name] = at
    end = at + bytes
    widest = Math.max(widest, bytes)
  }
  return { offsets, sizeBytes: alignUp(end, widest), alignBytes: widest }
}

/** Each type is aligned to its own size, in both models. */
export function bytesOf(type: CType, { pointerBytes }: CModel): number {
  switch (type) {
    case 'pointer':
    case 'size':
    case 'function':
      return pointerBytes
    case 'i32':
      return 4
    case 'u64':
      return 8
  }
}

function alignUp(at: number, bytes: number): number {
  return Math.ceil(at / bytes) * bytes
}
