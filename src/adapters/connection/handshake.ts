/**
 * What the first frames of a connection say: hello, welcome, and errors. Pure; both sides.
 */
import { BODY_CODECS, type BodyCodec, ERROR_CODES, type ErrorCode, HookringError } from '../../contracts/index.js'
import { type Frame, MAX_HANDSHAKE_BYTES, PROTOCOL_VERSION } from './frames.js'

export interface Hello {
  readonly codec: BodyCodec
  readonly user: string
  readonly password: string
}

export interface Welcome {
  readonly handle: number
  readonly restricted: boolean
  readonly maxFrameBytes: number
  readonly maxOutstanding: number
}

/** An error as it crosses. `status`: the number that a hook gave its reject. */
export interface RemoteError {
  readonly code: string
  readonly message: string
  readonly status?: number
}

const MAX_MESSAGE_CHARS = 2048
const RESTRICTED_FLAG = 1
const strictUtf8 = new TextDecoder('utf-8', { fatal: true })

/** @throws HookringError OPTIONS_INVALID for a user or password that cannot be sent */
export function helloPayload({ codec, user, password }: Hello): Buffer {
  if (user.includes(':')) throw new HookringError('OPTIONS_INVALID', 'user must not have a colon', { path: ['user'] })
  const credentials = Buffer.from(user === '' && password === '' ? '' : `${user}:${password}`)
  if (credentials.byteLength > MAX_HANDSHAKE_BYTES - 3) {
    throw new HookringError('OPTIONS_INVALID', `user and password take more than ${MAX_HANDSHAKE_BYTES - 3} bytes`)
  }
  return Buffer.concat([Buffer.of(PROTOCOL_VERSION, BODY_CODECS.indexOf(codec)), credentials])
}

/** @throws HookringError HANDSHAKE_INVALID */
export function readHello({ payload }: Frame): Hello {
  // The version stands first in every version.
  if (payload[0] !== PROTOCOL_VERSION) {
    throw invalid(`version ${payload[0] ?? 'none'} of the protocol is not spoken here, version ${PROTOCOL_VERSION} is`)
  }
  const codec = BODY_CODECS[payload[1] ?? -1]
  if (codec === undefined) throw invalid(`there is no codec ${payload[1] ?? 'none'}`)
  const text = decodeText(payload.subarray(2), 'the credentials are not UTF-8')
  const colon = text.indexOf(':')
  if (text !== '' && colon === -1) throw invalid('the credentials have no colon')
  return { codec, user: text.slice(0, Math.max(colon, 0)), password: text.slice(colon + 1) }
}

export function welcomePayload({ handle, restricted, maxFrameBytes, maxOutstanding }: Welcome): Buffer {
  const payload = Buffer.alloc(14)
  payload[0] = PROTOCOL_VERSION
  payload[1] = restricted ? RESTRICTED_FLAG : 0
  payload.writeInt32BE(handle, 2)
  payload.writeUInt32BE(maxFrameBytes, 6)
  payload.writeUInt32BE(maxOutstanding, 10)
  return payload
}

/** @throws HookringError HANDSHAKE_INVALID */
export function readWelcome({ payload }: Frame): Welcome {
  if (payload.byteLength < 14 || payload[0] !== PROTOCOL_VERSION) {
    throw invalid('the server’s welcome is of another version')
  }
  return {
    restricted: ((payload[1] as number) & RESTRICTED_FLAG) !== 0,
    handle: payload.readInt32BE(2),
    maxFrameBytes: payload.readUInt32BE(6),
    maxOutstanding: payload.readUInt32BE(10),
  }
}

export function errorPayload({ code, message, status }: RemoteError): Buffer {
  const text = message.length > MAX_MESSAGE_CHARS ? `${message.slice(0, MAX_MESSAGE_CHARS - 1)}…` : message
  return Buffer.from(JSON.stringify({ code, message: text, ...(status !== undefined && { status }) }))
}

/** What the server said, as an error of this side; `cause` is what it said. */
export function readError(payload: Uint8Array): HookringError {
  const remote = parseError(payload)
  const code: ErrorCode = Object.hasOwn(ERROR_CODES, remote.code) ? (remote.code as ErrorCode) : 'REQUEST_FAILED'
  return new HookringError(code, remote.message, { cause: remote })
}

function parseError(payload: Uint8Array): RemoteError {
  try {
    const said: unknown = JSON.parse(strictUtf8.decode(payload))
    const { code, message, status } = said as Record<string, unknown>
    if (typeof code === 'string' && typeof message === 'string') {
      return { code, message, ...(typeof status === 'number' && { status }) }
    }
  } catch {
    // Said below.
  }
  return { code: 'FRAME_INVALID', message: 'the server sent an error that cannot be read' }
}

function decodeText(bytes: Uint8Array, problem: string): string {
  try {
    return strictUtf8.decode(bytes)
  } catch {
    throw invalid(problem)
  }
}

function invalid(problem: string): HookringError {
  return new HookringError('HANDSHAKE_INVALID', problem)
}

/** What was thrown, in words. Never throws. */
export function messageOf(error: unknown): string {
  try {
    return error instanceof Error ? String(error.message) : String(error)
  } catch {
    return 'an error without a message'
  }
}
