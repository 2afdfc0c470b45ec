/**
 * Responses that the doors make themselves: of a plugin's answer, and of a request that was refused or that nobody has
 * decided (`application/problem+json`, RFC 9457). What cannot be sent is refused here, before a server has any of it. Pure.
 */
import { Buffer } from 'node:buffer'
import { STATUS_CODES } from 'node:http'
import { HookringError } from '../../contracts/index.js'
import type { CheckedReply, HttpReply, Refused, Undecided } from './outcomes.js'
import { bytesOf } from './request.js'

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/
/** No control characters but a tab, and nothing that is not one byte (RFC 9110, 5.5). */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
const NO_BODY = new Uint8Array(0)
const KNOWN_STATUSES: Readonly<Record<number, string | undefined>> = STATUS_CODES

export interface ReplyRules {
  /** Which headers may be set. */
  isAllowed(name: string): boolean
  /** Of those that may not. */
  onLeftOut(name: string): void
}

/**
 * What is sent of a reply that a plugin or the operator made.
 *
 * @throws HookringError RESPONSE_INVALID
 */
export function checkReply(reply: HttpReply, { isAllowed, onLeftOut }: ReplyRules): CheckedReply {
  const { status, headers = {}, body = '' } = reply
  if (!Number.isInteger(status) || status < 200 || status > 599) {
    throw invalid(`the status must be a whole number from 200 to 599, got ${shown(status)}`)
  }
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) {
    throw invalid(`the body must be a string or a Uint8Array, got ${shown(body)}`)
  }
  if (typeof headers !== 'object' || headers === null) throw invalid(`headers must be an object, got ${shown(headers)}`)
  const bytes = body.length === 0 ? NO_BODY : bytesOf(body)
  if (hasNoBody(status) && bytes.length > 0) throw invalid(`a response with status ${status} has no body`)
  const checked: Record<string, string> = Object.create(null)
  for (const [given, value] of Object.entries(headers)) {
    const name = given.toLowerCase()
    if (!TOKEN.test(name)) throw invalid(`${shown(given)} is no name of a header`)
    if (typeof value !== 'string' || !FIELD_VALUE.test(value)) {
      throw invalid(`the header ${name} must be a text of characters that headers may have, without line breaks`)
    }
    if (name in checked) throw invalid(`the header ${name} is there twice`)
    if (isAllowed(name)) checked[name] = value
    else onLeftOut(name)
  }
  if (bytes.length > 0) {
    checked['content-type'] ??= typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/octet-stream'
  }
  return { status, headers: checked, body: bytes }
}

/** Statuses whose responses have none (RFC 9110, 6.4.1). */
export function hasNoBody(status: number): boolean {
  return status === 204 || status === 205 || status === 304
}

/** The default response. It says what the client may know, and nothing else. */
export function problemOf({ kind, status, reason }: Refused | Undecided, retryAfterSeconds: number): CheckedReply {
  const title = KNOWN_STATUSES[status]
  const problem = { type: 'about:blank', ...(title !== undefined && { title }), status, detail: reason }
  const headers: Record<string, string> = { 'content-type': 'application/problem+json' }
  if (kind === 'undecided' && status === 503) headers['retry-after'] = String(retryAfterSeconds)
  return { status, headers, body: Buffer.from(JSON.stringify(problem)) }
}

function invalid(problem: string): HookringError {
  return new HookringError('RESPONSE_INVALID', `a response cannot be sent: ${problem}`)
}

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 80))
  return typeof value === 'number' ? String(value) : value === null ? 'null' : `a ${typeof value}`
}
