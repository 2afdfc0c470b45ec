/** Attacks that look for a way out through the objects that a hook is given, and through the language. */
import type { Place, ScriptAttack } from './corpus.js'

const from = (name: string, code: string, place: Place = 'onGate'): ScriptAttack => ({
  kind: 'script',
  class: 'escape',
  name,
  place,
  code,
})

/** What is done with a Function constructor, once one is found. */
const BY = (maker: string) =>
  `each(() => ${maker}('return process')().env[T.secretName], () => ${maker}('return globalThis.process.env[arguments[0]]')(T.secretName))`

export const escapes: readonly ScriptAttack[] = [
  from('the environment', 'return each(() => process.env[T.secretName], () => G.process.env[T.secretName])'),
  from('Function', `return ${BY('Function')}`),
  from('eval', "return each(() => (0, eval)('process').env[T.secretName], () => eval('process.env')[T.secretName])"),
  from(
    'constructors of async functions and generators',
    `const kinds = [async () => {}, function* () {}, async function* () {}].map((f) => f.constructor)
     return each(...kinds.map((make) => async () => {
       const made = make('return process.env')()
       return (typeof made.next === 'function' ? (await made.next()).value : await made)[T.secretName]
     }))`,
  ),
  from(
    'this of a sloppy function',
    "return each(() => Function('return this')().process.env[T.secretName], () => (function () { return this })().process.env[T.secretName])",
  ),
  from('the event', `return ${BY('event.constructor.constructor')}`),
  from('the event’s copy', `return ${BY('event.copy.constructor')}`),
  from('bytes of the event', `return ${BY('event.blob.constructor.constructor')}`),
  from('the context', `return ${BY('ctx.constructor.constructor')}`),
  from('the logger', `return ${BY('ctx.log.info.constructor')}`),
  from('the signal', `return ${BY('ctx.signal.constructor.constructor')}`),
  from('the services', `return ${BY('ctx.services.constructor.constructor')}`),
  from(
    'a listener of the signal',
    `let seen
     ctx.signal.addEventListener('abort', function (event) { seen = [this, event] })
     return new Promise((resolve) => setTimeout(resolve, 200)).then(() => each(() => seen[0].constructor.constructor('return process')().env[T.secretName]))`,
  ),
  from('what setup is given', "escaped = setup.log.info.constructor('return process')().env[T.secretName]", 'setup'),
  from(
    'an error from outside',
    `let error
     try { event.blob.set(Symbol()) } catch (thrown) { error = thrown }
     try { structuredClone(() => 1) } catch (thrown) { error = thrown }
     return ${BY('error.constructor.constructor')}`,
  ),
  from(
    'an error of a plugin’s own logging',
    `let error
     try { ctx.log.info('x', { get y() { throw new Error('z') } }) } catch (thrown) { error = thrown }
     return ${BY('(error ?? Error()).constructor.constructor')}`,
  ),
  from(
    'stack frames',
    `const before = Error.prepareStackTrace
     Error.prepareStackTrace = (_error, frames) => frames
     const frames = new Error().stack
     Error.prepareStackTrace = before
     return each(...[0, 1, 2, 3, 4, 5].flatMap((at) => [
       () => frames[at].getFunction().constructor('return process')().env[T.secretName],
       () => frames[at].getThis().process.env[T.secretName],
     ]))`,
  ),
  from(
    'stack frames of an error in the host’s hands',
    `Error.prepareStackTrace = (_error, frames) => frames.map((frame) => { try { escaped = frame.getThis().process.env[T.secretName] } catch {} return '' }).join()
     throw new Error('look at my stack')`,
  ),
  from(
    'callers',
    `const f = Function('return arguments.callee.caller')
     return each(() => f().constructor('return process')().env[T.secretName], () => (function g() { return g.caller })().arguments)`,
  ),
  from(
    'inspect',
    `ctx.log.info('x', { [Symbol.for('nodejs.util.inspect.custom')](_depth, _options, inspect) {
       escaped = inspect.constructor('return process')().env[T.secretName]
       return 'x'
     } })
     return tell(escaped)`,
  ),
  from(
    'inspect of an error',
    `const error = new Error('x')
     error[Symbol.for('nodejs.util.inspect.custom')] = (_depth, _options, inspect) => { escaped = inspect.constructor('return process')().env[T.secretName]; return escaped }
     throw error`,
  ),
  from(
    'toJSON of what is logged',
    `ctx.log.info('x', { nested: { toJSON(...args) { escaped = this.constructor.constructor('return process')().env[T.secretName]; return escaped } } })
     return tell(escaped)`,
  ),
  from(
    'toString of what is thrown',
    `throw { get message() { escaped = (function () { return this })().process.env[T.secretName]; return escaped }, toString() { return 'x' } }`,
  ),
  from(
    'promises',
    `const then = Promise.prototype.then
     Promise.prototype.then = function (...handlers) {
       for (const handler of handlers) try { escaped ??= handler.constructor('return process')().env[T.secretName] } catch {}
       return then.apply(this, handlers)
     }
     return Promise.resolve().then(() => { Promise.prototype.then = then; return tell(escaped) })`,
  ),
  from(
    'a thenable',
    'return { then(resolve, reject) { try { escaped = resolve.constructor("return process")().env[T.secretName] } catch {} resolve(tell(escaped)) } }',
  ),
  from(
    'species',
    `class Evil extends Promise { static get [Symbol.species]() { return class { constructor(run) { run((v) => { escaped ??= v }, (e) => { try { escaped ??= e.constructor.constructor('return process')().env[T.secretName] } catch {} }) } then() {} } } }
     return new Evil((resolve) => resolve(tell('none')))`,
  ),
  from(
    'a proxy for a verdict',
    `return new Proxy({}, { get(_target, key, receiver) { try { escaped ??= receiver.constructor.constructor('return process')().env[T.secretName] } catch {} return key === 'reason' ? String(escaped) : undefined } })`,
  ),
  from(
    'hasInstance',
    `Object.defineProperty(Uint8Array, Symbol.hasInstance, { value(that) { try { escaped ??= that.constructor.constructor('return process')().env[T.secretName] } catch {} return true } })
     return replace({ text: 'x', id: 1, blob: {} })`,
    'onTransform',
  ),
  from(
    'getters of a replacement',
    `return replace({ get text() { escaped ??= (function () { return this })()?.process?.env?.[T.secretName]; return String(escaped) }, id: 1, blob: new Uint8Array() })`,
    'onTransform',
  ),
  from(
    'globals of Node.js',
    'return each(() => require("fs").readFileSync(T.secretFile, "utf8"), () => module.constructor._load("fs").readFileSync(T.secretFile, "utf8"), () => process.binding("fs").internalModuleStat(T.secretFile), () => process.mainModule.require("fs"), () => process.getBuiltinModule("fs").readFileSync(T.secretFile, "utf8"), () => process.getBuiltinModule("node:fs").writeFileSync(T.marker, "x"))',
  ),
  from(
    'the network, by fetch',
    `return each(() => fetch('http://127.0.0.1:' + T.port), () => new WebSocket('ws://127.0.0.1:' + T.port), () => new EventSource('http://127.0.0.1:' + T.port))`,
  ),
  from(
    'a broadcast',
    "return each(() => new BroadcastChannel(T.channel).postMessage('here'), () => new Promise((resolve) => setTimeout(resolve, 50)))",
  ),
  from(
    'a worker',
    "return each(() => new Worker('data:text/javascript,1'), () => new SharedWorker('x'), () => new ShadowRealm().evaluate('globalThis.process.env')[T.secretName])",
  ),
  from(
    'WebAssembly',
    `const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])
     return each(() => ${'new WebAssembly.Instance(new WebAssembly.Module(bytes)).constructor.constructor("return process")().env[T.secretName]'}, () => WebAssembly.constructor.constructor('return process')().env[T.secretName])`,
  ),
  from(
    'signals to the server',
    'return each(() => process.kill(T.pid, "SIGKILL"), () => process.kill(process.pid, "SIGKILL"), () => process.kill(process.ppid, "SIGTERM"))',
  ),
  from('the end of the server', 'return each(() => process.abort(), () => process.reallyExit(1))'),
  from('exit', 'process.exit(3)'),
  from('the end of the server from the start', 'process.abort()', 'import'),
  from(
    'a diagnostic report',
    'return each(() => process.report.writeReport(T.marker), () => process.chdir("/"), () => process.setuid(65534), () => { process.title = T.marker })',
  ),
  from(
    'a library',
    'return each(() => process.dlopen({ exports: {} }, "/lib/x86_64-linux-gnu/libc.so.6"), () => process.dlopen({ exports: {} }, T.secretFile))',
  ),
  from(
    'ports of the thread',
    "return each(() => process._getActiveHandles().map((handle) => handle.postMessage({ taskId: 1, result: T.marker })), () => postMessage('x'))",
  ),
  from(
    'code in the server after its own end',
    'new FinalizationRegistry(() => process.env[T.secretName]).register({}, 1); setTimeout(() => { escaped = process.env[T.secretName] }, 1)',
    'destroy',
  ),
]
