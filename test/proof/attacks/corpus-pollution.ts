/** Attacks on what plugins share: prototypes, globals, memory; and on what other plugins are told. */
import type { AttackClass, Place, ScriptAttack } from './corpus.js'

const attack = (kind: AttackClass, name: string, code: string, place: Place = 'onGate'): ScriptAttack => ({
  kind: 'script',
  class: kind,
  name,
  place,
  code,
})
const pollute = (name: string, code: string, place?: Place) => attack('pollution', name, code, place)
const steal = (name: string, code: string, place?: Place) => attack('theft', name, code, place)

export const pollution: readonly ScriptAttack[] = [
  pollute(
    'properties of all objects',
    "Object.prototype.polluted = 1; Object.prototype.kind = 'continue'; Object.prototype.reason = 'x'; return undefined",
  ),
  pollute('toJSON of all objects', 'Object.prototype.toJSON = () => "x"; return undefined'),
  pollute('then of all objects', 'Object.prototype.then = function (resolve) { resolve() }; return undefined'),
  pollute(
    'setters of all objects',
    "Object.defineProperty(Object.prototype, 'text', { set() {}, get() { return 'attack' }, configurable: true }); return undefined",
  ),
  pollute(
    'methods of arrays',
    'Array.prototype.push = Array.prototype.map = Array.prototype.splice = () => []; Array.prototype[Symbol.iterator] = function* () {}; return undefined',
  ),
  pollute(
    'methods of maps',
    'Map.prototype.get = Map.prototype.set = () => undefined; WeakMap.prototype.get = () => undefined; return undefined',
  ),
  pollute(
    'methods of bytes',
    'Uint8Array.prototype.set = Uint8Array.prototype.subarray = () => new Uint8Array(); return undefined',
  ),
  pollute(
    'methods of views',
    'DataView.prototype.setUint32 = DataView.prototype.getUint32 = () => 0; return undefined',
  ),
  pollute(
    'methods of functions',
    'Function.prototype.call = Function.prototype.apply = Function.prototype.bind = () => () => undefined; return undefined',
  ),
  pollute(
    'Atomics',
    'try { Atomics.store = Atomics.load = Atomics.compareExchange = Atomics.notify = () => 0 } catch {}; return undefined',
  ),
  pollute(
    'Promise',
    'Promise.prototype.then = () => new Promise(() => {}); Promise.resolve = () => new Promise(() => {}); return undefined',
  ),
  pollute('JSON', 'JSON.stringify = () => "{}"; JSON.parse = () => ({}); return undefined'),
  pollute(
    'texts',
    "String.prototype.slice = String.prototype.charCodeAt = () => ''; TextDecoder && (TextDecoder.prototype.decode = () => ''); return undefined",
  ),
  pollute(
    'clocks',
    'Date.now = () => 0; try { performance.now = () => 0; process.hrtime.bigint = () => 0n } catch {}; return undefined',
  ),
  pollute('timers', 'G.setTimeout = G.setImmediate = G.queueMicrotask = () => 0; return undefined'),
  pollute(
    'frozen prototypes',
    'for (const it of [Object, Array, Function, Promise, Map, Uint8Array, Error]) Object.freeze(it.prototype); return undefined',
  ),
  pollute('prototypes from the start', 'Object.prototype.polluted = 1; Array.prototype.map = () => []', 'import'),
  pollute('what setup gives', 'Object.freeze(setup); Object.setPrototypeOf(Object.prototype, null)', 'setup'),
  pollute(
    'fields of the event',
    "try { event.text = 'changed' } catch {} try { Object.defineProperty(event, 'id', { value: 7 }) } catch {} try { event.blob.fill(255) } catch {} return undefined",
  ),
  pollute(
    'the module of plugins',
    'try { reject.prototype = null; Object.assign(definePlugin, { polluted: 1 }) } catch {} return undefined',
  ),
  pollute(
    'hooks of other plugins',
    'for (const key of Object.getOwnPropertyNames(G)) { try { if (typeof G[key]?.onVictim === "function") G[key].onVictim = () => undefined } catch {} } return undefined',
  ),
  steal(
    'globals of another plugin',
    'return each(() => G.victimSecret, () => Object.values(G).find((value) => typeof value === "string" && value.startsWith("victim")))',
  ),
  steal(
    'bytes around those of the event',
    'const around = new Uint8Array(event.blob.buffer); return tell(new TextDecoder().decode(around.slice(0, 100_000)).match(/victim-\\w+|neighbour-\\w+/)?.[0] ?? "-")',
  ),
  steal(
    'shared memory',
    'return each(() => { for (const key of Object.getOwnPropertyNames(G)) if (G[key] instanceof SharedArrayBuffer) return new TextDecoder().decode(new Uint8Array(G[key]).slice()) ; return "-" })',
  ),
  steal(
    'events of before',
    'G.kept ??= []; G.kept.push(event); return each(...G.kept.map((old) => () => old.copy().text))',
  ),
  steal(
    'an event after its call',
    `setTimeout(() => { try { escaped = 'late ' + event.text + event.blob.length } catch {} }, 20); return undefined`,
  ),
  steal(
    'what others log',
    'const write = G.console?.log; if (G.console) G.console.log = (...args) => { escaped = args.join() }; return undefined',
  ),
  steal(
    'what others return',
    'const then = Promise.prototype.then; Promise.prototype.then = function (done, failed) { return then.call(this, (value) => { try { if (String(value?.reason).startsWith("v")) escaped = value.reason } catch {} return done?.(value) }, failed) }; return undefined',
  ),
]
