/**
 * The door `hookring/connection-plugin`: what authors of plugins for connection@1 import. Hooks in the form of
 * Rayforce's `.ipc.on.*`, the current handle, and the codecs of bodies. For a plugin's thread; bundles for guests too.
 *
 * ```ts
 * export default definePlugin(connection, {
 *   name: 'echo',
 *   setup: () => connectionHooks({
 *     sync: (message) => ({ echo: message, from: currentHandle() }),
 *     auth: (user) => user !== 'ban',
 *   }),
 * })
 * ```
 */
import {
  type BodyCodec,
  CONNECTION_HOOKS,
  type ConnectionAuthEvent,
  type ConnectionCloseEvent,
  type ConnectionContract,
  type ConnectionHookName,
  type ConnectionMessageEvent,
  type ConnectionOpenEvent,
  type ConnectionPoints,
  type HookEvent,
  HookringError,
} from '../../contracts/index.js'
import { type HookContext, type PluginHooks, reject } from '../../plugin/index.js'
import { decodeBody, encodeBody } from './body.js'
import { currentHandle, withHandle } from './current-handle.js'

export { currentHandle, decodeBody, encodeBody, withHandle }

type ConnectionContext = HookContext<unknown, ConnectionContract['services']>

/** What the hooks are told besides their own arguments. */
export interface ConnectionCall {
  readonly handle: number
  /** Null where the server has no users. */
  readonly user: string | null
  readonly restricted: boolean
  readonly ctx: ConnectionContext
  /**
   * The server's own handler, run on behalf of this connection and restricted as it is. Messages only.
   *
   * @throws HookringError SERVICE_UNAVAILABLE without the grant `evaluate`; SERVICE_FAILED with what the handler threw
   */
  evaluate(message: unknown): Promise<unknown>
  /**
   * Sends a connection a message that answers none of its own: this one, or another by its handle. False: there is none.
   * In `open`, `close`, `sync` and `async`. On behalf of a restricted connection: to that one alone.
   *
   * @throws HookringError SERVICE_UNAVAILABLE without the grant `post`; SERVICE_FAILED with what the server said, of one
   * that does not take what it is sent too
   */
  post(message: unknown, handle?: number): Promise<boolean>
}

/** Returned by `sync`: it has no answer, whoever comes next is asked. Any other value is the response, undefined too. */
export const PASS: unique symbol = Symbol.for('hookring.connection.pass@1') as never

/** The five hooks. Anything but a function is no hook. */
export interface ConnectionHooks {
  open?(handle: number, call: ConnectionCall): unknown
  close?(handle: number, call: ConnectionCall): unknown
  /** What it returns, or what its promise comes to, is the response; what it throws is the response too. */
  sync?(message: unknown, call: ConnectionCall): unknown
  /** What it throws is logged and dropped. */
  async?(message: unknown, call: ConnectionCall): unknown
  /** Truthy: accept. Anything falsy, and an error, refuses. */
  auth?(user: string, password: string, call: ConnectionCall): unknown
  onShutdown?(): void | Promise<void>
  destroy?(): void | Promise<void>
}

/**
 * Makes hooks of connection@1 from hooks in Rayforce's form: messages decoded, answers encoded, the current handle set in
 * all that follows from them. What `open`, `close` and `async` throw is logged; what `sync` throws is the response; what
 * `auth` throws refuses. An error that a message provokes is an answer or
 * a log line and no failure of the plugin: a client could otherwise have it quarantined.
 *
 * @throws HookringError HOOK_NAME_RESERVED for any other name
 */
export function connectionHooks(hooks: ConnectionHooks): PluginHooks<ConnectionPoints> {
  for (const name of Object.keys(hooks)) {
    if (name === 'onShutdown' || name === 'destroy' || CONNECTION_HOOKS.includes(name as ConnectionHookName)) continue
    throw new HookringError('HOOK_NAME_RESERVED', `${name} cannot be set; the hooks are ${CONNECTION_HOOKS.join(', ')}`)
  }
  const made: Record<string, unknown> = {}
  for (const name of CONNECTION_HOOKS) {
    // Bound once: a hook keeps its `this`, and what is set later is not called by chance.
    if (typeof hooks[name] === 'function') made[name] = MAKERS[name]((hooks[name] as AnyHook).bind(hooks) as never)
  }
  for (const name of ['onShutdown', 'destroy'] as const) {
    if (typeof hooks[name] === 'function') made[name] = hooks[name].bind(hooks)
  }
  return made as PluginHooks<ConnectionPoints>
}

type AnyHook = (...args: never[]) => unknown
type Required<Name extends ConnectionHookName> = NonNullable<ConnectionHooks[Name]>

const MAKERS: { readonly [Name in ConnectionHookName]: (hook: Required<Name>) => unknown } = {
  open: (hook) => (event: HookEvent<ConnectionOpenEvent>, ctx: ConnectionContext) => {
    const call = callOf(event, ctx)
    return told('open', call, () => hook(call.handle, call))
  },
  close: (hook) => (event: HookEvent<ConnectionCloseEvent>, ctx: ConnectionContext) => {
    const call = callOf(event, ctx)
    return told('close', call, () => hook(call.handle, call))
  },
  async: (hook) => (event: HookEvent<ConnectionMessageEvent>, ctx: ConnectionContext) => {
    const call = messageCallOf(event, ctx)
    const { codec, body } = event
    return told('async', call, () => hook(decodeBody(codec, body), call))
  },
  sync: (hook) => (event: HookEvent<ConnectionMessageEvent>, ctx: ConnectionContext) => {
    const call = messageCallOf(event, ctx)
    const { codec, body } = event
    return withHandle(call.handle, () =>
      settle<unknown>(
        () => hook(decodeBody(codec, body), call),
        (value) => (value === PASS ? undefined : { body: encodeBody(codec, value) }),
        (error) => reject(messageOf(error)),
      ),
    )
  },
  auth: (hook) => (event: HookEvent<ConnectionAuthEvent>, ctx: ConnectionContext) => {
    const call = callOf(event, ctx)
    const { user, password } = event
    return withHandle(call.handle, () =>
      settle<unknown>(
        () => hook(user, password, call),
        (value) => (value ? undefined : reject('auth refused')),
        (error) => {
          ctx.log.error(`auth: ${messageOf(error)}`, { handle: call.handle })
          return reject('auth failed')
        },
      ),
    )
  },
}

function told(name: ConnectionHookName, call: ConnectionCall, body: () => unknown): unknown {
  const ignore = () => undefined
  const log = (error: unknown) => call.ctx.log.error(`${name}: ${messageOf(error)}`, { handle: call.handle })
  return withHandle(call.handle, () => settle(body, ignore, log))
}

/** Synchronous where the hook is: a lane whose hooks never return promises sleeps in the cheaper way. */
function settle<T>(
  body: () => unknown,
  onValue: (value: unknown) => T,
  onError: (error: unknown) => T,
): T | Promise<T> {
  const attempt = (run: () => unknown): T => {
    try {
      return onValue(run())
    } catch (error) {
      return onError(error)
    }
  }
  let value: unknown
  try {
    value = body()
  } catch (error) {
    return onError(error)
  }
  if (typeof (value as { then?: unknown } | null | undefined)?.then !== 'function') return attempt(() => value)
  return Promise.resolve(value).then((settled) => attempt(() => settled), onError)
}

interface Origin {
  readonly handle: number
  readonly user: string | null
  readonly restricted: boolean
  readonly codec?: string
  readonly ticket?: bigint
}

// Fields are read now: the event is closed when the hook has settled, and what it started may go on.
function callOf({ handle, user, restricted, codec, ticket }: Origin, ctx: ConnectionContext): ConnectionCall {
  const post = async (message: unknown, target = handle) => {
    if (codec === undefined || ticket === undefined) {
      throw new HookringError('SERVICE_UNAVAILABLE', 'post is not there in auth: the connection is not open yet')
    }
    const { post: service } = ctx.services
    if (service === undefined) throw notGranted('post')
    return service({ ticket, handle: target, body: encodeBody(codec as BodyCodec, message) })
  }
  const evaluate = async () => {
    throw new HookringError('SERVICE_UNAVAILABLE', 'evaluate is there for messages only, in sync and async')
  }
  return { handle, user, restricted, ctx, evaluate, post }
}

function messageCallOf(event: HookEvent<ConnectionMessageEvent>, ctx: ConnectionContext): ConnectionCall {
  const { codec, ticket } = event
  const evaluate = async (message: unknown) => {
    if (ctx.services.evaluate === undefined) throw notGranted('evaluate')
    const { body } = await ctx.services.evaluate({ ticket, body: encodeBody(codec as BodyCodec, message) })
    return decodeBody(codec as BodyCodec, body)
  }
  return { ...callOf(event, ctx), evaluate }
}

function notGranted(name: string): HookringError {
  return new HookringError('SERVICE_UNAVAILABLE', `${name}: the plugin was not granted it (services: ['${name}'])`)
}

function messageOf(error: unknown): string {
  try {
    return error instanceof Error ? String(error.message) : String(error)
  } catch {
    return 'an error without a message'
  }
}
