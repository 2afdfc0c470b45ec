/**
 * What honest plugins say, as pure functions of the event, so that the campaign can tell what each of their verdicts has to
 * be; and the tags by which a verdict tells whose it is.
 */

/** What the attacker leaves in the extent of each call, where a reason, an answer or a replacement stands. All of one length. */
export function tagOf(id) {
  return `call ${String(id).padStart(10, '0')}`
}

/** The call that a tag names, or null. */
export function callInTag(text) {
  const digits = /^call (\d{10})/.exec(text)?.[1]
  return digits === undefined ? null : Number(digits)
}

/** What the gate of the neighbour `name` says of an event: a third of all calls are refused. */
export function gateVerdict(name, { id, text }) {
  const mark = hash(`${name} ${id} ${text}`)
  return mark % 3 === 0 ? { reason: `${name} refuses ${id}`, code: mark & 0xffff } : null
}

/** The event as a neighbour's transform passes it on: with a seal that nobody else would know to set. */
export function sealed(name, { id, text }) {
  return `${text}|${name} ${hash(`${name} ${id} ${text}`)}`
}

function hash(text) {
  let value = 0x811c9dc5
  for (let index = 0; index < text.length; index += 1) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  return value >>> 0
}
