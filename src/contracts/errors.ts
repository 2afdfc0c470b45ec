/**
 * Coded errors: the one class that every door of hookring throws, and the closed list of its codes.
 * Expected outcomes (late, full, quarantined) are not errors but failures inside a verdict; see verdict.ts.
 */

/**
 * Every code that a HookringError can carry, with what it means. Codes are stable across versions. When each comes, and what
 * to do, stands in error-help.ts; `hookring explain CODE` prints it.
 */
export const ERROR_CODES = {
  OPTIONS_INVALID: 'an option is missing, unknown or of the wrong type',
  CONTRACT_INVALID: 'a contract has a bad name, version or hookpoint',
  ZOD_TOO_OLD: 'a schema was made by zod 3; schemas of zod 4, or of zod/v4 in zod 3.25, are taken',
  CONTRACT_UNENCODABLE: 'an event schema holds a type that cannot cross between threads',
  EVENT_INVALID: 'an event does not fit its hookpoint',
  EVENT_TOO_LARGE: 'an encoded event is larger than maxEventBytes',
  EVENT_EXPIRED: 'an event was read after its hook had returned',
  EVENT_NOT_GENERATED: 'no valid event could be made up for a hookpoint',
  HOOKPOINT_UNKNOWN: 'the contract has no hookpoint of this name',
  PLUGIN_NOT_FOUND: 'a plugin file or package does not exist',
  PLUGIN_IMPORT_FAILED: 'a plugin does not parse, cannot be loaded, or threw while it was imported',
  PLUGIN_NO_EXPORT: 'a plugin has no default export made by definePlugin, or behind the C ABI no qpc_plugin_init',
  PLUGIN_CONTRACT_MISMATCH: 'a plugin was written for another contract or version',
  PLUGIN_CONFIG_INVALID: 'a plugin refused its config',
  PLUGIN_SETUP_FAILED: 'a plugin threw during setup, or its setup returned no hooks',
  PLUGIN_SETUP_TIMEOUT: 'a plugin did not finish import and setup in time',
  PLUGIN_CRASHED: 'a lane died while it loaded its plugins',
  LANE_ENTRY_MISSING: 'the file that lanes begin with is not there: hookring was bundled into another file',
  LANE_BOOT_FAILED: "a lane's thread did not start",
  PLUGIN_INCONSISTENT: 'a plugin offered other hooks in one lane than in another',
  PLUGIN_NAME_TAKEN: 'two plugins have the same name',
  PLUGIN_UNKNOWN: 'the engine has no plugin of this name',
  PLUGIN_FAILED: "a plugin failed and its policy is 'raise', or it failed in hookring/testing",
  BULKHEAD_FULL: 'a bulkhead holds as many plugins as it can',
  TYPESCRIPT_UNSUPPORTED:
    'this Node.js cannot load TypeScript, or not all that the plugin has of it, and esbuild is not installed',
  CONFIG_INVALID: 'a config file of hookring serve cannot be read, or is wrong where it says',
  SHUTDOWN_TIMEOUT: 'not everything had ended when the time for it was over',
  PLUGIN_BUNDLE_TIMEOUT: 'the sources of a plugin were not made into one file in time',
  PLUGIN_BUNDLE_TOO_LARGE: 'the sources of a plugin are too large, or too deeply nested, to be made into one file',
  WATCH_FAILED: 'files of plugins cannot be watched for changes',
  SOURCES_UNWRITABLE: 'what is made of a plugin cannot be written to the temporary folder',
  PNP_UNSUPPORTED: "a plugin must be bundled, and the packages are Yarn's Plug'n'Play archives",
  ESBUILD_MISSING: 'a plugin must be bundled, and esbuild is not installed',
  QUICKJS_MISSING: 'a plugin runs in QuickJS, and the package that has it is not installed',
  REDIS_MISSING: 'a plugin keeps its state in Redis, and a package that it needs for that is not installed',
  REDIS_UNAVAILABLE: 'a plugin keeps its state in Redis, which did not answer when the plugin was set up',
  NODE_ID_TAKEN: 'another broker is in the cluster under this node id',
  WASM_TOO_LARGE:
    'a WebAssembly module has more of something than V8 takes, or than limits.memoryMb has room for when it is compiled',
  KOFFI_MISSING: 'a plugin is a shared library, and koffi is not installed',
  GRPC_MISSING: 'a plugin is a remote provider, and the packages that speak gRPC are not installed',
  PROVIDER_UNREACHABLE: 'a remote provider did not answer when it was to be loaded',
  PROVIDER_HOOK_UNKNOWN: 'a remote provider asks for a hook that its protocol does not have',
  PROVIDER_INVALID: 'a remote provider does not speak the version asked for, or answered what it does not have',
  INTEGRITY_MISMATCH: 'the bytes of a plugin are not those that the operator named by their hash',
  SES_MISSING: 'a plugin runs in a compartment, and ses is not installed',
  SANDBOX_MISSING: 'a part of the process boundary is not there on this machine',
  HOST_PROTECTED: 'a plugin would have ended the server, or reached into it',
  UNTRUSTED_RUNTIME: 'an untrusted plugin was given a runtime that is no boundary',
  SERVICE_UNAVAILABLE: 'a plugin asked for a host service that it was not granted, or that nobody provides',
  SERVICE_INPUT_INVALID: 'a plugin passed a host service something that it does not take',
  SERVICE_OVERLOAD: 'the plugins of a lane have as many host services under way as they may',
  SERVICE_FAILED: 'a host service threw',
  BROKER_UNSUPPORTED: 'a broker is not of a version, or not in a state, that hooks can be attached to',
  CALL_ABORTED: "the caller's signal ended the call",
  PACKAGE_NOT_INSTALLED: 'an optional package that this needs is not installed',
  ENGINE_CLOSED: 'the engine is closing or closed',
  CONTROL_TIMEOUT: 'a lane did not answer a control message in time',
  LISTEN_FAILED: 'a server could not listen at its address',
  CONNECTION_FAILED: 'a connection could not be opened, or broke',
  CONNECTION_CLOSED: 'a connection was closed before a request was answered, or is closed',
  CONNECTION_LIMIT: 'a server has as many connections as it may',
  CONNECTION_TIMEOUT: 'a peer was silent, or did not finish what it had begun, for too long',
  CONNECTION_RESTRICTED: 'something was asked on behalf of a restricted connection that it may not',
  HANDSHAKE_INVALID: 'a peer opened its connection in another way or version than the protocol',
  CREDENTIALS_REFUSED: 'a server did not accept a user and password',
  FRAME_INVALID: 'a frame is not one of the protocol',
  FRAME_TOO_LARGE: 'a frame is larger than the other side takes',
  BODY_INVALID: 'a body is not what its codec can read or write',
  REQUEST_FAILED: 'a hook or handler answered a request with an error',
  REQUEST_UNHANDLED: 'a request found neither a hook nor a handler that answers',
  REQUEST_TIMEOUT: 'a request was not answered in time',
  REQUEST_OVERLOAD: 'a client has as many requests under way as it may',
  HOOK_NAME_RESERVED: 'a name was set that is none of the hooks',
  RESPONSE_INVALID: 'a plugin or the operator made an HTTP response that cannot be sent',
  BODY_UNAVAILABLE: "a request's body was read before the hooks that ask for it",
  RECORDING_INVALID: 'a recording is truncated, damaged, or of another contract',
} as const satisfies Record<string, string>

export type ErrorCode = keyof typeof ERROR_CODES

export interface HookringErrorDetails {
  /** The underlying error, if there is one. */
  cause?: unknown
  /** Path to the offending option or event field, outermost first. */
  path?: readonly (string | number)[]
  /** Name of the plugin to blame. */
  plugin?: string
  /** Name of the hookpoint concerned. */
  hookpoint?: string
}

/** An error with a stable `code`; the message says what was wrong, where, and what to do. */
export class HookringError extends Error {
  /** Stable across versions; `hookring explain CODE` says what to do. */
  readonly code: ErrorCode
  /** Where in the options, the event or the contract. */
  readonly path: readonly (string | number)[] | undefined
  /** The plugin that it is about, if it is about one. */
  readonly plugin: string | undefined
  /** The hookpoint that it is about, if it is about one. */
  readonly hookpoint: string | undefined

  constructor(code: ErrorCode, message: string, details: HookringErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'HookringError'
    this.code = code
    this.path = details.path
    this.plugin = details.plugin
    this.hookpoint = details.hookpoint
  }
}

/** Writes a field path the way a JavaScript expression would: `events[3].channelId`. */
export function formatPath(path: readonly (string | number)[]): string {
  let text = ''
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`
    else if (/^[A-Za-z_$][\w$]*$/.test(part)) text += text === '' ? part : `.${part}`
    else text += `[${JSON.stringify(part)}]`
  }
  return text
}

/** What a thrown value says. Anything can be thrown, and what it says of itself need not be text. Never throws. */
export function thrownText(thrown: unknown): string {
  try {
    const message: unknown = thrown instanceof Error ? thrown.message : undefined
    return typeof message === 'string' ? message : String(thrown)
  } catch {
    return 'an error without a message'
  }
}
