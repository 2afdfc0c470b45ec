/**
 * The provider: a gRPC server that brokers call, and an engine that is asked. Started by whoever runs the server, on the
 * host's thread.
 */
import { Server, status } from '@grpc/grpc-js'
import { EXHOOK_RPCS, type Hookpoints, HookringError } from '../../contracts/index.js'
import { bindMethods } from '../../primitives/bind-methods.js'
import { BrokerVersions } from './broker-versions.js'
import { contractVersionOf, type ExhookEngine } from './engine.js'
import { type CheckedOptions, checkOptions, type ExhookProviderOptions } from './options.js'
import { loadService } from './protocol.js'
import { answerInstead, type Stand } from './refusals.js'
import { type ExhookCount, Rpc } from './rpc.js'

export interface ExhookProvider extends AsyncDisposable {
  /** Where it listens, with the port that it was given. */
  readonly address: string
  /** RPCs that have been called, since the start. */
  readonly counts: readonly ExhookCount[]
  /** Takes no new calls, waits for those under way, and ends connections. The engine goes on. Again: the same promise. */
  close(): Promise<void>
}

/** A broker that has more under way on one connection waits: it has several. */
const MAX_CALLS_PER_CONNECTION = 1024
/** Calls under way have this long when the provider closes. */
const CLOSE_TIMEOUT_MS = 5000

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
  contractVersionOf(engine)
  const checked = checkOptions(options)
  const rpcs = rpcsOf(engine, checked)
  const server = serverOf(rpcs, checked)
  const address = await listen(server, checked)
  if (!checked.isSecure && !isLocal(address)) {
    checked.logger.warn(
      { address },
      `the ExHook provider listens at ${address} without TLS: whoever reaches it may ask, and listen`,
    )
  }
  return bindMethods(new ListeningProvider({ server, address, counts: () => rpcs.map(({ count }) => count) }))
}

class ListeningProvider implements ExhookProvider {
  readonly address: string
  readonly #server: Server
  readonly #counts: () => readonly ExhookCount[]
  #closing: Promise<void> | null = null

  constructor({
    server,
    address,
    counts,
  }: { readonly server: Server; readonly address: string; counts(): readonly ExhookCount[] }) {
    this.#server = server
    this.address = address
    this.#counts = counts
  }

  get counts(): readonly ExhookCount[] {
    return this.#counts().flatMap((count) => (count.calls > 0 ? [{ ...count }] : []))
  }

  close(): Promise<void> {
    this.#closing ??= shutDown(this.#server)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function rpcsOf<Points extends Hookpoints>(engine: ExhookEngine<Points>, options: CheckedOptions): Rpc<Points>[] {
  const brokers = new BrokerVersions()
  const report = reporter(options)
  return options.versions.flatMap((version) =>
    EXHOOK_RPCS[version].map((rpc) => new Rpc({ version, rpc, engine, options, brokers, report })),
  )
}

/** Logs the first of each kind; all are counted. */
function reporter({ logger }: CheckedOptions) {
  const reported = new Set<string>()
  return (where: string, { code, details }: { code: number; details: string }, error: unknown): void => {
    const kind = `${where} ${code}`
    if (code === status.CANCELLED || code === status.DEADLINE_EXCEEDED || reported.has(kind)) return
    reported.add(kind)
    const message = error instanceof Error ? error.message : String(error)
    logger.error({ code, details }, `${where} failed: ${message}`)
  }
}

function serverOf<Points extends Hookpoints>(rpcs: readonly Rpc<Points>[], options: CheckedOptions): Server {
  const stands = new Map<string, Stand>()
  const server = new Server({
    'grpc.max_receive_message_length': options.maxRequestBytes,
    'grpc.max_concurrent_streams': MAX_CALLS_PER_CONNECTION,
    interceptors: [answerInstead(stands)],
  })
  for (const version of options.versions) {
    const service = loadService(version)
    const own = rpcs.filter(({ count }) => count.version === version)
    server.addService(service, Object.fromEntries(own.map(({ count, handle }) => [count.rpc, handle])))
    for (const { count, stand } of own) {
      const path = service[count.rpc]?.path
      if (stand !== null && path !== undefined) stands.set(path, stand)
    }
  }
  return server
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

function isLocal(address: string): boolean {
  return /^(?:unix:|127\.|localhost:|\[::1\]:)/.test(address)
}
