/**
 * The provider: a gRPC server that brokers call, and an engine that is asked. Started by whoever runs the server, on the
 * host's thread; one handler for each RPC and version.
 */
import {
  type handleUnaryCall,
  Server,
  type ServerUnaryCall,
  type StatusObject,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js'
import {
  EXHOOK_RPCS,
  type ExhookRpc,
  type ExhookVersion,
  type Hookpoints,
  HookringError,
  type Verdict,
} from '../../contracts/index.js'
import type { CallOptions } from '../../index.js'
import { errorStatus, plain } from '../grpc/status.js'
import { answerOf } from './answers.js'
import { contractVersionOf, type ExhookEngine } from './engine.js'
import { wantedHooks } from './hook-specs.js'
import { type CheckedOptions, checkOptions, type ExhookProviderOptions } from './options.js'
import { loadService, type WireMessage } from './protocol.js'
import { eventOf } from './requests.js'

/** What came of the calls of one RPC. */
export interface ExhookCount {
  readonly version: ExhookVersion
  readonly rpc: string
  readonly calls: number
  /** Calls that ended with a gRPC status other than OK: the broker's own policy decides. */
  readonly failed: number
}

export interface ExhookProvider extends AsyncDisposable {
  /** Where it listens, with the port that it was given. */
  readonly address: string
  /** RPCs that have been called, since the start. */
  readonly counts: readonly ExhookCount[]
  /** Takes no new calls, waits for those under way, and ends connections. The engine goes on. Again: the same promise. */
  close(): Promise<void>
}

/** For the answer's way back: this long before the broker gives up, or a fifth of its time where that is less. */
const ANSWER_MARGIN_MS = 250
/** A broker that has more under way on one connection waits: it has several. */
const MAX_CALLS_PER_CONNECTION = 1024
/** Calls under way have this long when the provider closes. */
const CLOSE_TIMEOUT_MS = 5000

/** The broker had given up before anybody was asked. */
const TOO_LATE = new Error('the deadline of the call is over')

type UnaryCall = ServerUnaryCall<WireMessage, object>
type Respond = sendUnaryData<object>
type Tally = { -readonly [Key in keyof ExhookCount]: ExhookCount[Key] }
type LooseHook = (event: unknown, options?: CallOptions) => unknown

/**
 * Starts a provider; resolves when it listens. An engine of any version of the contract serves brokers of all versions.
 * The engine stays the caller's: close it after the provider.
 *
 * @throws HookringError OPTIONS_INVALID, LISTEN_FAILED
 */
export async function startExhookProvider<Points extends Hookpoints>(
  engine: ExhookEngine<Points>,
  options: ExhookProviderOptions = {},
): Promise<ExhookProvider> {
  const contractVersion = contractVersionOf(engine)
  const checked = checkOptions(options)
  const { logger, requestTimeoutMs } = checked
  const hooks = engine.hooks as unknown as Readonly<Record<string, LooseHook>>
  const tallies: Tally[] = []
  const reported = new Set<string>()

  function handlerOf(version: ExhookVersion, rpc: ExhookRpc): handleUnaryCall<WireMessage, object> {
    const own = EXHOOK_RPCS[contractVersion].find(({ subject }) => subject === rpc.subject) as ExhookRpc
    const tally: Tally = { version, rpc: rpc.rpc, calls: 0, failed: 0 }
    tallies.push(tally)

    const tell = (request: WireMessage): void => {
      hooks[own.hookpoint]?.(eventOf(rpc, request, contractVersion))
    }

    const ask = async (call: UnaryCall): Promise<object> => {
      const timeoutMs = patienceMs(call, requestTimeoutMs)
      const event = eventOf(rpc, call.request, contractVersion)
      const given = new AbortController()
      // Nobody waits any more: a verdict that has not begun is taken back.
      call.once('cancelled', () => given.abort())
      const verdict = (await hooks[own.hookpoint]?.(event, { timeoutMs, signal: given.signal })) as Verdict
      // The protocol has no place for a reason.
      if (verdict.kind === 'reject') {
        const { plugin, reason, failure } = verdict
        logger.debug({ version, rpc: rpc.rpc, plugin, failure: failure?.kind }, `refused: ${reason}`)
      }
      return answerOf(verdict, event)
    }

    const fail = (error: unknown, respond: Respond): void => {
      tally.failed += 1
      const ending = statusOf(error)
      report(`${rpc.rpc} of version ${version}`, ending, error)
      respond(ending)
    }

    return (call, respond) => {
      tally.calls += 1
      if (rpc.isValued) {
        ask(call).then(
          (answer) => respond(null, answer),
          (error) => fail(error, respond),
        )
        return
      }
      try {
        tell(call.request)
        if (rpc.rpc === 'OnProviderUnloaded') {
          logger.info({ version, peer: call.getPeer() }, 'a broker unloads the ExHook provider')
        }
        respond(null, rpc.rpc === 'OnProviderLoaded' ? loaded(version, call) : {})
      } catch (error) {
        fail(error, respond)
      }
    }
  }

  function loaded(version: ExhookVersion, call: UnaryCall): object {
    const wanted = wantedHooks(engine, version, checked.topics)
    const names = wanted.map(({ name }) => name)
    logger.info({ version, peer: call.getPeer(), hooks: names }, 'a broker loads the ExHook provider')
    return { hooks: wanted }
  }

  /** The first of each kind; all are counted. */
  function report(where: string, { code, details }: Pick<StatusObject, 'code' | 'details'>, error: unknown): void {
    const place = `${where} ${code}`
    if (code === status.CANCELLED || code === status.DEADLINE_EXCEEDED || reported.has(place)) return
    reported.add(place)
    const message = error instanceof Error ? error.message : String(error)
    logger.error({ code, details }, `${where} failed: ${message}`)
  }

  const server = new Server({
    'grpc.max_receive_message_length': checked.maxRequestBytes,
    'grpc.max_concurrent_streams': MAX_CALLS_PER_CONNECTION,
  })
  for (const version of checked.versions) {
    const handlers = EXHOOK_RPCS[version].map((rpc) => [rpc.rpc, handlerOf(version, rpc)])
    server.addService(loadService(version), Object.fromEntries(handlers))
  }
  const address = await listen(server, checked)
  if (!checked.isSecure && !isLocal(address)) {
    logger.warn(
      { address },
      `the ExHook provider listens at ${address} without TLS: whoever reaches it may ask, and listen`,
    )
  }

  let closing: Promise<void> | null = null
  const provider: ExhookProvider = {
    address,
    get counts() {
      return tallies.filter(({ calls }) => calls > 0).map((tally) => ({ ...tally }))
    },
    close() {
      closing ??= shutDown(server)
      return closing
    },
    [Symbol.asyncDispose]: () => provider.close(),
  }
  return provider
}

/** @throws HookringError LISTEN_FAILED */
async function listen(server: Server, { address, credentials }: CheckedOptions): Promise<string> {
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, credentials, (error, bound) => {
      if (error === null) resolve(bound)
      else reject(new HookringError('LISTEN_FAILED', `cannot listen at ${address}: ${error.message}`, { cause: error }))
    })
  })
  return address.startsWith('unix:') ? address : address.replace(/:\d+$/, `:${port}`)
}

function shutDown(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown()
      resolve()
    }, CLOSE_TIMEOUT_MS)
    server.tryShutdown(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}

/** How long plugins have, so that their policy's answer arrives while the broker still waits. */
function patienceMs(call: UnaryCall, requestTimeoutMs: number): number {
  const deadline = call.getDeadline()
  const leftMs = Math.min(requestTimeoutMs, (deadline instanceof Date ? deadline.getTime() : deadline) - Date.now())
  if (leftMs <= 0) throw TOO_LATE
  return leftMs - Math.min(ANSWER_MARGIN_MS, leftMs / 5)
}

function statusOf(error: unknown): StatusObject {
  if (error === TOO_LATE) return plain(status.DEADLINE_EXCEEDED, 'Deadline exceeded')
  return errorStatus(error)
}

function isLocal(address: string): boolean {
  return /^(?:unix:|127\.|localhost:|\[::1\]:)/.test(address)
}
