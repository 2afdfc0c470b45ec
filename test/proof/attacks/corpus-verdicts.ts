/** Attacks by what is returned, and by what is thrown. */
import type { Place, ScriptAttack } from './corpus.js'

const give = (name: string, code: string, place: Place = 'onGate'): ScriptAttack => ({
  kind: 'script',
  class: 'verdict',
  name,
  place,
  code,
})

export const badVerdicts: readonly ScriptAttack[] = [
  give('a huge reason', "return reject('x'.repeat(2 ** 26))"),
  give('a reason of a million surrogates', "return reject('\\ud800'.repeat(1e6))"),
  give('a reason that is no text', 'return reject({ toString() { throw 1 } })'),
  give('a reason that loops', 'return reject({ toString() { for (;;); } })'),
  give('a code that is no number', 'return reject("x", { valueOf() { for (;;); } })'),
  give('a code out of all bounds', 'return reject("x", 2 ** 60)'),
  give(
    'a huge replacement',
    "return replace({ text: 'x'.repeat(2 ** 25), id: 1, blob: new Uint8Array(2 ** 25) })",
    'onTransform',
  ),
  give('a replacement with wrong types', 'return replace({ text: 1, id: "x", blob: [] })', 'onTransform'),
  give(
    'a replacement whose getters loop',
    'return replace({ get text() { for (;;); }, id: 1, blob: new Uint8Array() })',
    'onTransform',
  ),
  give(
    'a replacement that says something else each time',
    'let n = 0; return replace({ get text() { n += 1; return n > 1 ? "x".repeat(1e6) : "x" }, id: 1, blob: new Uint8Array() })',
    'onTransform',
  ),
  give(
    'a replacement with shared bytes',
    'return replace({ text: "x", id: 1, blob: new Uint8Array(new SharedArrayBuffer(16)) })',
    'onTransform',
  ),
  give(
    'a replacement with detached bytes',
    'const b = new Uint8Array(16); try { structuredClone(b, { transfer: [b.buffer] }) } catch {} return replace({ text: "x", id: 1, blob: b })',
    'onTransform',
  ),
  give('an answer that is huge', "return { text: 'x'.repeat(2 ** 26) }", 'onRespond'),
  give('an answer that is cyclic', 'const it = { text: "x" }; it.it = it; return it', 'onRespond'),
  give(
    'an answer that is deep',
    'let it = { text: "x" }; for (let i = 0; i < 1e5; i += 1) it = { text: "x", it }; return it',
    'onRespond',
  ),
  give(
    'an answer that is a proxy',
    'return new Proxy({}, { get() { for (;;); }, ownKeys() { for (;;); }, getPrototypeOf() { for (;;); } })',
    'onRespond',
  ),
  give(
    'a verdict of one’s own making',
    'return { kind: "continue", plugin: "neighbour", verdict: "reject", [Symbol.for("hookring.verdict")]: "reject", reason: "n1" }',
  ),
  give(
    'a verdict whose brand is borrowed',
    'const real = reject("x"); const fake = Object.create(real); return new Proxy(fake, { get: (target, key) => (key === "reason" ? "y".repeat(1e6) : target[key]) })',
  ),
  give('a thenable that loops', 'return { then() { for (;;); } }'),
  give(
    'a thenable that settles twice',
    'return { then(resolve, reject) { resolve(tell("one")); resolve(tell("two")); reject(new Error("three")) } }',
  ),
  give('a getter called then that throws', 'return { get then() { throw new Error("x") } }'),
  give(
    'a thenable within thenables',
    'const nest = (depth) => ({ then(resolve) { resolve(depth === 0 ? undefined : nest(depth - 1)) } }); return nest(1e5)',
  ),
  give('nothing thrown', 'throw undefined'),
  give('null thrown', 'throw null'),
  give(
    'a proxy thrown',
    'throw new Proxy(new Error("x"), { get() { throw new Error("again") }, getPrototypeOf() { throw new Error("again") }, has() { throw new Error("again") } })',
  ),
  give('an error whose message loops', 'throw Object.defineProperty(new Error(), "message", { get() { for (;;); } })'),
  give('an error with a huge message', "throw new Error('x'.repeat(2 ** 26))"),
  give(
    'an error with a chain of causes',
    'let error = new Error("x"); for (let i = 0; i < 1e5; i += 1) error = new Error("x", { cause: error }); throw error',
  ),
  give(
    'an error that pretends to be hookring’s',
    'throw Object.assign(new Error("x"), { name: "HookringError", code: "ENGINE_CLOSED" })',
  ),
  give('an error after the verdict', 'setTimeout(() => { throw new Error("late") }, 5); return undefined'),
  give('a rejection after the verdict', 'Promise.reject(new Error("late")); return undefined'),
  give('a rejection with nothing', 'Promise.reject(undefined); return undefined'),
  give('a promise that is never settled', 'return new Promise(() => {})'),
]
