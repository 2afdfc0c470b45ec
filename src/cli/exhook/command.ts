/**
 * `hookring exhook`: plugins as the provider that an MQTT broker with an extension hook calls. Reads the options, starts an
 * engine and the server, and ends both in order when it is told to.
 */
import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { Command, InvalidArgumentError, Option } from 'commander'
import { EXHOOK_VERSIONS, exhook1, exhook2, exhook3, type Hookpoints } from '../../contracts/index.js'
import { createHookEngine, type FailureAction, type HookEngine, type Logger, type PluginOptions } from '../../index.js'
import { jsonFrom, numberFrom, pluginFrom } from '../common/arguments.js'
import { UsageError } from '../common/errors.js'
import { EXIT_GOOD, endProcess, print } from '../common/exit.js'

const EXAMPLES = `
Examples:
  $ hookring exhook --plugins ./device-auth.ts
  $ hookring exhook --plugins ./auth.ts ./audit.ts --config '{"realm": "lab"}' --listen 0.0.0.0:9000 \\
      --cert server.pem --key server.key --ca brokers.pem
  $ hookring exhook --plugins ./vendor.mjs --trust untrusted --on-failure allow --topics 'up/#'

Plugins are written for exhook@3, and serve brokers of all three versions of the protocol; --contract says otherwise. The
broker is told to call this address (EMQX: exhook, url http://127.0.0.1:9000), and asks for the hooks that the plugins
have. A question that no plugin decides is answered as --on-failure says: one that is larger than the two sizes, too.

When it has printed "listening", it serves until SIGTERM or SIGINT: plugins are told (onShutdown), calls under way are
answered, plugins are destroyed.

Exit codes: 0 ended as it was told to; 2 wrong usage, a plugin that could not be loaded, or an address that is taken.`

interface ExhookOptions {
  readonly plugins: readonly string[]
  readonly config: readonly unknown[]
  readonly contract: string
  readonly listen: string
  readonly cert?: Buffer
  readonly key?: Buffer
  readonly ca?: Buffer
  readonly topics?: readonly string[]
  readonly timeout: number
  readonly requestTimeout: number
  readonly maxEventBytes: number
  readonly maxRequestBytes: number
  readonly onFailure?: FailureAction
  readonly trust: 'trusted' | 'untrusted'
}

const CONTRACTS = { [exhook1.id]: exhook1, [exhook2.id]: exhook2, [exhook3.id]: exhook3 }

const MIB = 1024 * 1024
/** The largest packet that EMQX takes by default, with room for what it says of its client. */
const EVENT_BYTES = MIB + 64 * 1024

export function exhookCommand(): Command {
  return new Command('exhook')
    .description("Serve plugins to MQTT brokers that have an extension hook (EMQX's ExHook).")
    .requiredOption('--plugins <plugin...>', 'files or packages, in the order in which they are asked')
    .option('--config <json|@file>', "the plugin's config; once for each plugin, in their order", jsonFrom, [])
    .addOption(
      new Option('--contract <name>', 'what the plugins are written for')
        .choices(Object.keys(CONTRACTS))
        .default(exhook3.id),
    )
    .option('--listen <address>', 'host:port, or unix:/path', '127.0.0.1:9000')
    .option('--cert <file>', "PEM: the server's certificate; with --key", pemFrom)
    .option('--key <file>', 'PEM: its key', pemFrom)
    .option('--ca <file>', 'PEM: brokers must show a certificate that this one signed', pemFrom)
    .option('--topics <filter...>', 'messages that the plugins are asked about; default: all')
    .option('--timeout <ms>', 'time for a hook', numberFrom(1, { most: 600_000 }), 100)
    .option('--request-timeout <ms>', "the broker's own: answers come before", numberFrom(1, { most: 600_000 }), 5000)
    .option(
      '--max-event-bytes <n>',
      'of what plugins are asked about',
      numberFrom(4_096, { isWhole: true, most: 64 * MIB }),
      EVENT_BYTES,
    )
    .option(
      '--max-request-bytes <n>',
      "of a broker's request",
      numberFrom(1_024, { isWhole: true, most: 256 * MIB }),
      4 * MIB,
    )
    .addOption(new Option('--on-failure <what>', 'of a plugin; default: deny').choices(['deny', 'allow']))
    .addOption(new Option('--trust <what>', 'of all plugins').choices(['trusted', 'untrusted']).default('trusted'))
    .addHelpText('after', EXAMPLES)
    .action(async (options: ExhookOptions) => {
      await serve(options)
    })
}

async function serve(options: ExhookOptions): Promise<void> {
  const plugins = pluginsOf(options)
  const tls = tlsOf(options)
  const { startExhookProvider } = await importAdapter()
  const asked = whenAsked()
  const logger = lineLogger()
  const engine: HookEngine<Hookpoints> = await createHookEngine({
    contract: CONTRACTS[options.contract] as typeof exhook3,
    plugins,
    timeoutMs: options.timeout,
    maxEventBytes: options.maxEventBytes,
    ...(options.onFailure === undefined ? {} : { onFailure: options.onFailure }),
    logger,
  })
  let zombies = 0
  engine.on('zombie', () => {
    zombies += 1
  })
  const provider = await startExhookProvider(engine, {
    address: options.listen,
    tls,
    topics: options.topics,
    requestTimeoutMs: options.requestTimeout,
    maxRequestBytes: options.maxRequestBytes,
    logger,
  }).catch(async (error: unknown) => {
    await engine.close()
    throw error
  })
  await print(
    process.stdout,
    `listening at ${provider.address} (exhook ${EXHOOK_VERSIONS.map((v) => `v${v}`).join(', ')})\n`,
  )
  await asked
  await engine.shutdown()
  await provider.close()
  await engine.close()
  await endProcess(zombies > 0, EXIT_GOOD)
}

/** Resolves at the first SIGTERM or SIGINT; a second one ends the process as ever. */
function whenAsked(): Promise<void> {
  return new Promise((resolve) => {
    const asked = () => {
      process.off('SIGTERM', asked)
      process.off('SIGINT', asked)
      resolve()
    }
    process.on('SIGTERM', asked)
    process.on('SIGINT', asked)
  })
}

function pluginsOf({ plugins, config, trust }: ExhookOptions): PluginOptions[] {
  if (config.length > plugins.length) {
    throw new UsageError('OPTIONS_INVALID', `--config was given ${config.length} times for ${plugins.length} plugins`)
  }
  return plugins.map((plugin, index) => ({
    from: pluginFrom(plugin),
    trust,
    ...(index < config.length ? { config: config[index] } : {}),
  }))
}

function tlsOf({ cert, key, ca }: ExhookOptions) {
  if (cert === undefined && key === undefined && ca === undefined) return undefined
  if (cert === undefined || key === undefined) {
    throw new UsageError('OPTIONS_INVALID', 'for TLS --cert and --key are both needed')
  }
  return { cert, key, ca }
}

function pemFrom(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new InvalidArgumentError(`${file} cannot be read: ${(error as Error).message}`)
  }
}

/** gRPC is not there for those who do without it. */
async function importAdapter() {
  try {
    return await import('../../adapters/exhook/index.js')
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new UsageError(
      'PACKAGE_NOT_INSTALLED',
      'hookring exhook needs @grpc/grpc-js and @grpc/proto-loader: npm install @grpc/grpc-js @grpc/proto-loader',
    )
  }
}

/** One line each, on stderr: stdout is for what the command says itself. */
function lineLogger(): Logger {
  const line = (level: string) => (fields: object, message: string) => {
    const { plugin, ...rest } = fields as { plugin?: string }
    const who = plugin === undefined ? 'hookring' : `hookring ${plugin}`
    const more = Object.keys(rest).length === 0 ? '' : ` ${inspect(rest, { breakLength: Number.POSITIVE_INFINITY })}`
    process.stderr.write(`[${who}] ${level}: ${message}${more}\n`)
  }
  return { debug() {}, info: line('info'), warn: line('warn'), error: line('error') }
}
