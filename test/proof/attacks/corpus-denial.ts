/** Attacks on time, memory and everything else that there is only so much of. */
import type { Place, ScriptAttack } from './corpus.js'

const deny = (name: string, code: string, place: Place = 'onGate'): ScriptAttack => ({
  kind: 'script',
  class: 'denial',
  name,
  place,
  code,
})

export const denialOfService: readonly ScriptAttack[] = [
  deny('a loop', 'for (;;);'),
  deny('a loop that catches', 'for (;;) try { for (;;) null.x } catch {}'),
  deny('a loop with finally', 'for (;;) try { continue } finally { continue }'),
  deny('a loop in a generator', 'const all = (function* () { for (;;) yield 1 })(); for (const _ of all);'),
  deny('a loop from the start', 'for (;;);', 'import'),
  deny('a loop in setup', 'for (;;);', 'setup'),
  deny('a loop in onShutdown', 'for (;;);', 'onShutdown'),
  deny('a loop in destroy', 'for (;;);', 'destroy'),
  deny('a setup that never ends', 'return new Promise(() => {})', 'setup'),
  deny('recursion', 'const down = () => down() + 1; return down()'),
  deny('recursion through a proxy', 'const p = new Proxy({}, { get: (_t, key, it) => it[key] }); return p.x'),
  deny('recursion that catches', 'const down = () => { try { down() } catch { down() } }; down()'),
  deny('microtasks without end', 'const again = () => Promise.resolve().then(again); return again()'),
  deny('awaits without end', 'return (async () => { for (;;) await null })()'),
  deny(
    'queued microtasks without end',
    'const again = () => queueMicrotask(again); again(); return new Promise(() => {})',
  ),
  deny(
    'an async iterator without end',
    'return (async () => { for await (const _ of (async function* () { for (;;) yield 1 })()); })()',
  ),
  deny(
    'timers without end',
    'const again = () => { setTimeout(again, 0); setTimeout(again, 0) }; if ((G.timers ??= 0) < 1) { G.timers = 1; const few = (n) => { if (n < 14) { setTimeout(() => few(n + 1), 0); setTimeout(() => few(n + 1), 0) } }; few(0) } return new Promise(() => {})',
  ),
  deny('a regular expression', "return /^(a+)+$/.test('a'.repeat(50) + 'b') ? undefined : undefined"),
  deny(
    'a regular expression with references',
    "return /(.*)*\\1\\1\\1x/.test('ab'.repeat(5000)) ? undefined : undefined",
  ),
  deny(
    'a replacement of texts',
    "return 'a'.repeat(2 ** 20).replace(/a/g, '$&'.repeat(1000)).length ? undefined : undefined",
  ),
  deny('a search without end', '[].indexOf.call({ length: 2 ** 53 - 1 }, 1)'),
  deny('a join without end', 'return [].join.call({ length: 2 ** 32 - 1 }) ? undefined : undefined'),
  deny('a fill without end', '[].fill.call({ length: 2 ** 53 - 1, set 0(v) {} }, 1)'),
  deny(
    'a sort that never agrees',
    'Array.from({ length: 5e5 }, (_, i) => i).sort(() => { for (let i = 0; i < 1e4; i += 1); return Math.random() - 0.5 })',
  ),
  deny('a power of big integers', 'return (2n ** (2n ** 27n)) ** 3n > 1n ? undefined : undefined'),
  deny('a big integer as text', 'return (3n ** 3000000n).toString().length > 1 ? undefined : undefined'),
  deny('JSON that is deep', "JSON.parse('['.repeat(5e6))"),
  deny('a heap that grows', 'const all = []; for (;;) all.push({ a: new Array(100).fill(all.length) })'),
  deny('a heap that grows in texts', "const all = []; for (;;) all.push('x'.repeat(1e6) + all.length)"),
  deny(
    'a heap that grows behind the verdicts',
    'G.hoard ??= []; for (let i = 0; i < 2e6; i += 1) G.hoard.push({ i }); return undefined',
  ),
  deny('one huge array', 'return new Array(5e7).fill(1.1).length ? undefined : undefined'),
  deny('one huge text', "return 'x'.repeat(2 ** 29 - 24).length ? undefined : undefined"),
  deny(
    'texts that are flattened',
    "let s = 'x'; for (let i = 0; i < 29; i += 1) s += s; return s.charCodeAt(2 ** 28) ? undefined : undefined",
  ),
  deny(
    'typed arrays',
    'const all = []; for (let i = 0; i < 12; i += 1) all.push(new Uint8Array(2 ** 26).fill(1)); return undefined',
  ),
  deny('one huge typed array', 'return new Uint8Array(2 ** 30).fill(1).length ? undefined : undefined'),
  deny(
    'buffers that are shared',
    'const all = []; for (let i = 0; i < 12; i += 1) all.push(new Uint8Array(new SharedArrayBuffer(2 ** 26)).fill(1)); return undefined',
  ),
  deny(
    'memory of WebAssembly',
    'const memory = new WebAssembly.Memory({ initial: 1, maximum: 12_000 }); for (let i = 0; i < 12; i += 1) { memory.grow(1000); new Uint8Array(memory.buffer).fill(1, i * 65_536_000) } return undefined',
  ),
  deny('maps and sets', 'const map = new Map(); for (let i = 0; ; i += 1) map.set(i, { i })'),
  deny('sleep', 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)'),
  deny(
    'log lines without end',
    "for (let i = 0; i < 2e5; i += 1) ctx.log.info('x'.repeat(1000), { i }); return undefined",
  ),
  deny('console lines without end', "for (let i = 0; i < 1e5; i += 1) console.log('x'.repeat(1000)); return undefined"),
  deny(
    'full batches of log lines, turn after turn',
    `const line = 'x'.repeat(8192), fields = { f: 'y'.repeat(15000) }
     return (async () => { for (;;) { for (let i = 0; i < 300; i += 1) ctx.log.warn(line, { ...fields, i }); await new Promise((r) => setTimeout(r, 1)) } })()`,
  ),
  deny(
    'log lines of many small fields',
    `const fields = Object.fromEntries(Array.from({ length: 400 }, (_, i) => ['k' + i, { a: { b: { c: [i] } } }]))
     for (let i = 0; i < 2e4; i += 1) ctx.log.info('x', fields); return undefined`,
  ),
  deny('one huge log line', "ctx.log.info('x'.repeat(2 ** 27)); return undefined"),
  deny(
    'log fields that are deep',
    'let it = {}; for (let i = 0; i < 1e5; i += 1) it = { it }; ctx.log.info("x", it); return undefined',
  ),
  deny(
    'output by the stream',
    "for (let i = 0; i < 1000; i += 1) process.stdout.write('x'.repeat(1e5)); return undefined",
  ),
  deny('promises without end', 'for (let i = 0; ; i += 1) new Promise(() => {}).then(() => {})'),
  deny('symbols and keys without end', `const it = {}; for (let i = 0; ; i += 1) it['k' + i] = Symbol(i)`),
  deny(
    'processes without end',
    "const specifier = ['node:child', 'process'].join('_'); return import(specifier).then(({ spawn }) => { for (let i = 0; i < 20; i += 1) spawn('/bin/sleep', ['2']).on('error', () => {}) ; return undefined })",
  ),
  deny(
    'threads without end',
    "const specifier = ['node:worker', 'threads'].join('_'); return import(specifier).then(({ Worker }) => { for (let i = 0; i < 8; i += 1) new Worker('for (;;);', { eval: true }).on('error', () => {}); return undefined })",
  ),
  deny(
    'digests without end',
    "const specifier = ['node:', 'crypto'].join(''); return import(specifier).then(({ pbkdf2Sync }) => { pbkdf2Sync('x', 'y', 3e6, 64, 'sha512'); return undefined })",
  ),
]
