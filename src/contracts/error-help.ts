/**
 * What to do about each coded error: the entries of docs/reference/errors.md and of `hookring explain CODE`. Apart from
 * errors.ts, so that lanes and servers do not load texts that they never show. A code without an entry does not compile.
 */
import type { ErrorCode } from './errors.js'

export interface ErrorHelp {
  /** Where it comes from: which call or moment throws it, and what led there. */
  readonly when: string
  /** What the reader can do. */
  readonly todo: string
}

export const ERROR_HELP: Readonly<Record<ErrorCode, ErrorHelp>> = {
  OPTIONS_INVALID: {
    when: 'At once, from the function that took the options: createHookEngine, engine.add, a call with options, attachHooks, createConnectionServer and the others. `error.path` leads to the option.',
    todo: 'Change the option that the message names. It says what was given, what is taken, and the nearest right name of a misspelt one. The reference of options lists all of them.',
  },
  CONTRACT_INVALID: {
    when: 'From defineContract: the name is not lower-case letters, digits and dashes, the version is no integer from 1 to 65,535, a hookpoint has a reserved name or was not made by gate, observe, transform or respond, or there is none.',
    todo: 'Mend what the message names. Plugins and servers must import the same contract.',
  },
  ZOD_TOO_OLD: {
    when: 'From defineContract, or when a plugin is set up: a schema was made by zod 3. In zod 3.25, `zod` is zod 3 and `zod/v4` is zod 4.',
    todo: 'Install zod 4 (`npm install zod@4`), or import `z` from `zod/v4` in zod 3.25. Do so for the contract and its plugins alike.',
  },
  CONTRACT_UNENCODABLE: {
    when: 'From defineContract, or from the first engine that has the contract: a schema holds a transform, a codec, a Map, a class instance or something else that has no form in shared memory. `error.path` leads to the field.',
    todo: 'Use a type of the schema table in the reference of contracts. Where a value has no such type, send a text or bytes and decode them in the plugin.',
  },
  EVENT_INVALID: {
    when: 'From a call, before any plugin is asked: the event does not fit the schema of its hookpoint. For an observe hookpoint, where the call never throws, it is the engine event `error`.',
    todo: 'The message names the field, what it holds and what was expected. Mend the place that makes the event; refuse the client if the value is the client’s.',
  },
  EVENT_TOO_LARGE: {
    when: 'From a call, before any plugin is asked: the encoded event has more bytes than `maxEventBytes`. For an observe hookpoint it is the engine event `error`.',
    todo: 'Send less (a hash, a length, the first bytes), or raise `maxEventBytes` (up to 64 MiB). Each call in flight takes that much of its lane’s memory.',
  },
  EVENT_EXPIRED: {
    when: 'Inside a plugin: a field of an event was read for the first time after the hook had returned, or, of an async hook, after its promise had settled. The memory belongs to another event by then.',
    todo: 'Take `event.copy()` in the hook, and keep the copy.',
  },
  EVENT_NOT_GENERATED: {
    when: 'From generateEvents of hookring/testing, `hookring check` and `hookring bench`: a schema has a check of its own (`.refine()`) that no made-up value passes.',
    todo: 'Give events of your own to the test, or record real ones (`engine.record`) and pass them with `--replay`.',
  },
  HOOKPOINT_UNKNOWN: {
    when: 'From whatever takes a hookpoint’s name: engine.isSubscribed, engine.record, rules of hookring/grpc, generateEvents, `--hookpoint`.',
    todo: 'The message lists the names that the contract has. A plugin whose setup returns a hook of another name is refused with the same code.',
  },
  PLUGIN_NOT_FOUND: {
    when: 'While a plugin is added: no file is at the path, or no package of the name is installed. Paths begin with `./`, `../` or `/`; everything else is the name of a package.',
    todo: 'Write `from: new URL("./plugins/x.mjs", import.meta.url)` to name a file beside the module. A relative path counts from the working directory, not from the module.',
  },
  PLUGIN_IMPORT_FAILED: {
    when: 'While a plugin is added or its lane is replaced: its module does not parse, imports what is not there, threw at its top level, or cannot be bundled for the runtime that it is to run in.',
    todo: 'The message has the plugin’s own error; for a missing import, the chain of imports that leads there. Try `node plugin.mjs`, or `npx hookring check plugin.mjs`.',
  },
  PLUGIN_NO_EXPORT: {
    when: 'While a plugin is added: the module has no default export that definePlugin made; a binary does not export `qpc_plugin_init`.',
    todo: 'Write `export default definePlugin(contract, { ... })`. A plugin object, or a class, is not enough.',
  },
  PLUGIN_CONTRACT_MISMATCH: {
    when: 'While a plugin is added: it was written for another contract, or another version, than the engine’s; a remote provider cannot be asked at a gate of the contract.',
    todo: 'Load it into an engine of its contract, or have it written for this one. Server and plugin may have two copies of the contract’s module: name and version count, not the object.',
  },
  PLUGIN_CONFIG_INVALID: {
    when: 'While a plugin is added or reloaded: the plugin’s own schema refused `config`. It is parsed in the plugin’s thread, after it was cloned there.',
    todo: 'The message names the field. `npx hookring check plugin.mjs` prints the schema as JSON Schema. Functions and class instances cannot be cloned: config is plain data.',
  },
  PLUGIN_SETUP_FAILED: {
    when: 'While a plugin is added, or its lane is replaced: `setup` threw, its promise was rejected, or what it returned is no object of hooks. `error.cause` is what was thrown.',
    todo: 'Mend the plugin. When a lane’s replacement fails so, the engine tries again with growing pauses, and its event `error` says so.',
  },
  PLUGIN_SETUP_TIMEOUT: {
    when: 'While a plugin is added: import and setup together took longer than `setupTimeoutMs` (10 s).',
    todo: 'Do not wait in setup for what may never come: give the connection a time limit, or connect in the background. Raise `setupTimeoutMs` where it must take long.',
  },
  PLUGIN_CRASHED: {
    when: 'While a plugin is loaded: its thread or process ended, by `process.exit`, by an error that nobody caught, or out of memory. In traffic the same is a failure of kind `crash`, not an error.',
    todo: 'The message has what the thread said last. Raise `limits.memoryMb` if it ran out of memory. `npx hookring check plugin.mjs` finds the stage.',
  },
  LANE_ENTRY_MISSING: {
    when: 'From createHookEngine, in a server that a bundler has put hookring into: lanes are threads and start with a file of the package, `dist/worker/entry.js`, which is not beside the bundle.',
    todo: 'Leave hookring out of the bundle: `external: ["hookring", "hookring/*"]` for esbuild, and the like for rollup, webpack and Vite. Or deploy the package beside the bundle and name its `dist/worker/entry.js` with the option `workerUrl`.',
  },
  LANE_BOOT_FAILED: {
    when: 'While lanes are started: the thread itself did not boot, before any plugin was loaded. It is out of memory, Node.js forbids worker threads (`--permission` without `--allow-worker`), a preload (`--import`) threw, or a bundler has left the worker’s file out.',
    todo: 'The message has what the thread said. Give `limits.memoryMb` at least the default, allow worker threads, keep hookring external when you bundle, or say which flags lanes get (`execArgv`).',
  },
  PLUGIN_INCONSISTENT: {
    when: 'While the second lane of a bulkhead starts: a plugin returned other hooks there than in the first one.',
    todo: 'Make setup return the same hooks for the same config. Decide by config, not by time, chance or thread id.',
  },
  PLUGIN_NAME_TAKEN: {
    when: 'From createHookEngine, engine.add and engine.reload: two plugins of one engine have the same name.',
    todo: 'Give one of them another `name` in its options. Verdicts, metrics and log lines go by it.',
  },
  PLUGIN_UNKNOWN: {
    when: 'From engine.remove, reload, quarantine and release: there is no plugin of this name.',
    todo: 'Look at `engine.plugins`. The name is the operator’s, where the options give one, else the plugin’s own.',
  },
  PLUGIN_FAILED: {
    when: 'From a call whose policy is `raise` (the default for respond hookpoints): the plugin gave no verdict. `error.cause` is the failure, with its kind, message and times. In hookring/testing: the hook’s result was no verdict, or its promise was pending at the deadline.',
    todo: 'Catch it where the call is made, or set `onFailure` to `deny` or `allow`. The failure’s message says which plugin did what; mend it, or give it more time (`timeoutMs`).',
  },
  BULKHEAD_FULL: {
    when: 'From createHookEngine and engine.add: more than 31 plugins would share a bulkhead.',
    todo: 'Give some of them another `bulkhead`.',
  },
  TYPESCRIPT_UNSUPPORTED: {
    when: 'While a plugin in TypeScript is added: this Node.js does not load TypeScript by itself (22.18 and later do), or the plugin has more of it than types (enums, namespaces, parameter properties, JSX), and esbuild is not installed.',
    todo: '`npm install esbuild`, run a later Node.js, or name the compiled JavaScript.',
  },
  WATCH_FAILED: {
    when: 'By the event `error` after `engine.watch()` or `hookring serve --watch`: the system does not watch a folder of a plugin, or there are too many.',
    todo: 'The message says which folder. On Linux `fs.inotify.max_user_watches` and `max_user_instances` are the bounds. Plugins go on; reload by hand.',
  },
  CONFIG_INVALID: {
    when: 'From `hookring serve`: the config file cannot be read, does not parse, or holds a wrong or misspelt option. The message has the file and the path in it.',
    todo: 'Mend the file. `npx hookring serve --check` checks what starting would check, and starts nothing.',
  },
  SHUTDOWN_TIMEOUT: {
    when: 'From `hookring serve` at its end: connections, calls or plugins had not ended when `shutdownMs` (10 s) was over. The exit code is 1.',
    todo: 'Look in the log for what did not end: a `destroy` that waits, a client that does not read. Raise `shutdownMs` if the load needs it, and the time that systemd or Kubernetes gives above that.',
  },
  PLUGIN_BUNDLE_TIMEOUT: {
    when: 'While an untrusted plugin is added: its sources were not bundled within `setupTimeoutMs` (5 s at least).',
    todo: 'Bundle less: a plugin that imports a large package brings all of it. Or bundle it yourself, and name the file.',
  },
  PLUGIN_BUNDLE_TOO_LARGE: {
    when: 'While an untrusted plugin is added: its files and packages have more than 32 MiB, or the bundling process ran out of memory on them.',
    todo: 'Import less, or bundle and minify the plugin yourself.',
  },
  SOURCES_UNWRITABLE: {
    when: 'While a plugin that must be compiled or bundled is added: the folder for it cannot be made in the system’s temporary directory, as on a full disk or in a container with a read-only file system.',
    todo: 'Mount a writable directory and name it in `TMPDIR`. Trusted plugins in JavaScript need none.',
  },
  PNP_UNSUPPORTED: {
    when: 'When a plugin is added that is bundled before it runs (untrusted, pinned by `integrity`, or with runtime quickjs or compartment, or a process of its own), in a project that Yarn has installed without node_modules folders.',
    todo: 'Set `nodeLinker: node-modules` in .yarnrc.yml and install again. Trusted plugins of runtime module run with Plug’n’Play as well.',
  },
  ESBUILD_MISSING: {
    when: 'While a plugin is added whose runtime needs one file: runtimes `quickjs` and `compartment`, and what is untrusted behind a process boundary.',
    todo: '`npm install esbuild`.',
  },
  QUICKJS_MISSING: {
    when: 'While an untrusted plugin in JavaScript, or one of runtime `quickjs`, is added.',
    todo: '`npm install @jitl/quickjs-ng-wasmfile-release-sync`.',
  },
  REDIS_MISSING: {
    when: 'While `redis`, `cluster`, or `rateLimit` with `redis` is set up.',
    todo: 'Install what the message names: `npm install ioredis @msgpack/msgpack`, for rate limits `ioredis rate-limiter-flexible`.',
  },
  REDIS_UNAVAILABLE: {
    when: 'While a plugin that keeps its state in Redis is set up: no connection within `connectTimeoutMs` (4 s), a wrong password, or a server too old. Later outages are failures of calls, and the policy decides.',
    todo: 'Look at `addr`, the password and TLS. Redis 6.2 or later is needed; a Redis Cluster needs 7.0.',
  },
  NODE_ID_TAKEN: {
    when: 'While `cluster` is set up: another broker that is alive has the same `nodeId`.',
    todo: 'Give each broker a `nodeId` of its own, such as the pod’s name. The id of a broker that was killed is free at once, or when `nodeTtlMs` is over.',
  },
  WASM_TOO_LARGE: {
    when: 'While a WebAssembly plugin is added: it has more types, functions, segments, locals or code than V8 takes, or than `limits.memoryMb` has room for when it is compiled.',
    todo: 'The message names the thing and both numbers. Build with `-Os` and strip the module, or raise `limits.memoryMb`.',
  },
  KOFFI_MISSING: {
    when: 'While a shared library (`.so`, `.dylib`, `.dll`) is added.',
    todo: '`npm install koffi`.',
  },
  GRPC_MISSING: {
    when: 'While a plugin of runtime `exhook` is added.',
    todo: '`npm install @grpc/grpc-js @grpc/proto-loader`.',
  },
  PROVIDER_UNREACHABLE: {
    when: 'While a plugin of runtime `exhook` is added: the provider did not answer OnProviderLoaded until a little before `setupTimeoutMs`.',
    todo: 'Look at the address, the firewall and TLS. Start the provider first, or add the plugin when it is there.',
  },
  PROVIDER_HOOK_UNKNOWN: {
    when: 'While a plugin of runtime `exhook` is added: the provider asks for a hook that its version of the protocol does not have.',
    todo: 'Set `version` to the version that the provider speaks, or mend the provider’s list of hooks.',
  },
  PROVIDER_INVALID: {
    when: 'While a plugin of runtime `exhook` is added: the provider does not implement the version, or answered what the protocol does not have.',
    todo: 'Set `version` to 1, 2 or 3 as the provider speaks it.',
  },
  INTEGRITY_MISMATCH: {
    when: 'While a plugin with `integrity` is added or reloaded: the file, or the bundle made from it, has another hash. None of it has run.',
    todo: 'If you changed the plugin, take the hash from the message. If you did not, find out who did.',
  },
  SES_MISSING: {
    when: 'While a plugin of runtime `compartment` is added.',
    todo: '`npm install ses`.',
  },
  SANDBOX_MISSING: {
    when: 'While an untrusted plugin with `boundary: "process"` is added: bubblewrap, `prlimit` or another part of the sandbox is not there, or the machine does not allow it (in many containers: user namespaces).',
    todo: 'The message names the part. On Debian: `apt install bubblewrap`. Or use runtime `quickjs`, which needs none of it; or say `sandbox: "best-effort"` and read what that gives up.',
  },
  HOST_PROTECTED: {
    when: 'Inside a plugin: it called what would end the server or reach into it by accident, such as `process.abort()` or a signal to its own process.',
    todo: 'Leave it out: throw an error, or return a verdict. A plugin’s `process.exit()` ends its lane alone.',
  },
  UNTRUSTED_RUNTIME: {
    when: 'From createHookEngine and engine.add: a plugin with `trust: "untrusted"` was given a runtime that confines nothing.',
    todo: 'Leave `runtime` out (JavaScript then runs in QuickJS), or add `boundary: "process"`. The message names what is open to this plugin.',
  },
  SERVICE_UNAVAILABLE: {
    when: 'Inside a plugin, from `services.x(...)`: the operator has not granted the service to this plugin, or the server does not provide it (yet).',
    todo: 'Operators: name it in the plugin’s `services`, and provide it by `services` or engine.provide. Plugins: handle a service that is not there, `services.x?.(...)`.',
  },
  SERVICE_INPUT_INVALID: {
    when: 'Inside a plugin, from `services.x(...)`: the input does not fit the service’s schema, or is larger than `maxServiceBytes`. The server was not asked.',
    todo: 'Pass what the contract’s schema of the service says.',
  },
  SERVICE_OVERLOAD: {
    when: 'Inside a plugin, from `services.x(...)`: 64 calls of services are under way in the lane.',
    todo: 'Await them, some at a time.',
  },
  SERVICE_FAILED: {
    when: 'Inside a plugin, from `services.x(...)`: the server’s function threw or was rejected. A HookringError keeps its own code.',
    todo: 'Handle it in the plugin, and mend the server’s function. The message is the error’s.',
  },
  BROKER_UNSUPPORTED: {
    when: 'From attachHooks: the broker is no Aedes 1, is closed, has hooks or clients already, or is built otherwise inside than Aedes 1.2.',
    todo: 'Install aedes 1.2, make the broker with `Aedes.createBroker()`, and attach once, before `broker.handle` is given to a server.',
  },
  CALL_ABORTED: {
    when: 'From a call with a `signal` that aborted. What has not begun does not run; a hook that runs is told by `ctx.signal`. `error.cause` is the signal’s reason.',
    todo: 'Treat it as the caller’s own decision. It counts against no plugin.',
  },
  PACKAGE_NOT_INSTALLED: {
    when: 'From what needs an optional package: `hookring/aedes`, `serve`, `exhook`, `bench --compare`, `tracing` with a destination.',
    todo: 'Install what the message names. The packages are optional peer dependencies, so that nobody installs what they do not use.',
  },
  ENGINE_CLOSED: {
    when: 'From calls and changes of an engine after `close()` has begun. An observe call throws nothing: it is the engine event `error`.',
    todo: 'Close the server that calls it first, and the engine after it.',
  },
  CONTROL_TIMEOUT: {
    when: 'From changes and `close()`: a lane did not answer a message in time, because a plugin holds its thread or `onShutdown` or `destroy` did not end within `shutdownTimeoutMs`.',
    todo: 'Find the plugin that the message names. The thread is ended all the same.',
  },
  LISTEN_FAILED: {
    when: 'From listen of a server: the address is taken, not this machine’s, or not allowed (a port below 1,024, a socket’s folder).',
    todo: 'The message has the system’s error. Choose another port, or find who has this one.',
  },
  CONNECTION_FAILED: {
    when: 'From connect of hookring/connection, and from requests when their connection broke. `error.cause` has the system’s error.',
    todo: 'Connect again, with pauses. Whether a request was handled before the connection broke is not known: repeat only what may be repeated.',
  },
  CONNECTION_CLOSED: {
    when: 'From requests of a client that is closed, or whose server said goodbye before the answer.',
    todo: 'Connect again. What was sent before `flush()` resolved has been handled.',
  },
  CONNECTION_LIMIT: {
    when: 'From connect: the server has `maxConnections` connections, or `maxHandshakes` that are not let in yet.',
    todo: 'Try again later. If the load is real, raise the server’s option.',
  },
  CONNECTION_TIMEOUT: {
    when: 'From connect and from requests: the handshake took longer than `connectTimeoutMs` or `handshakeTimeoutMs`, a frame did not come to its end (`stallTimeoutMs`), or the connection was idle (`idleTimeoutMs`).',
    todo: 'Look at the network and at the load of the server. Raise the option if the peer is slow by nature.',
  },
  CONNECTION_RESTRICTED: {
    when: 'From server.disconnect, server.post and the services of the same names: they were asked for on behalf of a restricted connection, about another one.',
    todo: 'Do it outside of that connection’s hook, if the server itself wants it.',
  },
  HANDSHAKE_INVALID: {
    when: 'A peer spoke another protocol or version: HTTP, TLS where there is none, an old client. At the client: the server is no connection server.',
    todo: 'Look at the port and at `tls` on both sides. The server’s log says what the first bytes looked like.',
  },
  CREDENTIALS_REFUSED: {
    when: 'From connect: the user or password is wrong, or an `auth` hook refused, failed or was late. The client is not told which.',
    todo: 'Look in the server’s log and metrics for the plugin’s verdict.',
  },
  FRAME_INVALID: {
    when: 'A peer sent bytes that are no frame of the protocol. The connection ends.',
    todo: 'Look for two writers on one socket, or for a client of another protocol.',
  },
  FRAME_TOO_LARGE: {
    when: 'A message is larger than the other side’s `maxFrameBytes` (1,000,000).',
    todo: 'Send less at once, or raise the option on the side that receives.',
  },
  BODY_INVALID: {
    when: 'A message cannot be written or read as MessagePack or JSON without loss: a function, a Map, a class instance, NaN in JSON, nesting past 128 levels.',
    todo: 'Send plain data. MessagePack takes more than JSON: bytes, bigints, dates.',
  },
  REQUEST_FAILED: {
    when: 'From client.sync: the hook or handler threw or rejected. The message is its words.',
    todo: 'Handle it as an answer of the application.',
  },
  REQUEST_UNHANDLED: {
    when: 'From client.sync: no hook answered and the server has no handler.',
    todo: 'Give createConnectionServer a `handler`, or add a plugin with a `sync` hook.',
  },
  REQUEST_TIMEOUT: {
    when: 'From client.sync: no answer within `requestTimeoutMs` of the client or of the server. It is cancelled at the server.',
    todo: 'Raise the option, or make the request smaller. The hook sees its signal abort.',
  },
  REQUEST_OVERLOAD: {
    when: 'From client.sync past `maxPending` requests, and from server.post when the client does not take what it is sent (`maxUnsentBytes`).',
    todo: 'Await some of them. A client that reads too slowly must read faster, or be sent less.',
  },
  HOOK_NAME_RESERVED: {
    when: 'From server.hooks.set and connectionHooks: a name that is none of open, close, sync, async and auth.',
    todo: 'Use one of the five. All other names are kept for later versions.',
  },
  RESPONSE_INVALID: {
    when: "From hookring/http and hookring/fastify, told to `onError`: a plugin's answer, or what the option `respond` returned, has a status outside of 200 to 599, a header that HTTP does not allow, or a body where there can be none. Also where an answer sets a header that is not among `answerHeaders`, which is left out.",
    todo: 'Mend the plugin or the function; the message names what is wrong. Name a header in `answerHeaders` if plugins may set it.',
  },
  BODY_UNAVAILABLE: {
    when: 'From hookring/http: the option `body` asks for the body of a request, and something before the hooks has read it, such as a body parser.',
    todo: 'Put the hooks before the parser, or let the parser keep the bytes as `request.rawBody`.',
  },
  RECORDING_INVALID: {
    when: 'From replayEvents and `--replay`: the file is none of engine.record’s, is cut off or damaged, or of another contract. The message has the line.',
    todo: 'Record again. A file whose process died is read as far as it goes with `allowTruncated: true`.',
  },
}
