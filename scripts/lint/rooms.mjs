/**
 * Who may import whom in src, as data. `npm run check` holds the tree to it, and `npm run check -- --imports` prints the
 * rooms and the arrows between them. Types count as imports.
 *
 * - A building is a folder of src with a row here; a folder without one may import nothing.
 * - `rooms` stand from the top down. A room imports only rooms below it. Rooms on one floor, a nested list, do not import
 *   each other. '.' is the building's own files; a building without `rooms` is one room.
 * - `imports` are what a building's rooms import of others: whole buildings, or one file of them, such as a door.
 *   `only` narrows or widens that for one room.
 * - `usesNode` says that its rooms may import Node.js' own modules.
 */
const PUBLIC_DOORS = ['index.ts', 'contracts/index.ts']

export const BUILDINGS = {
  '.': { imports: ['host', 'contracts'] },

  cli: {
    rooms: [
      '.',
      ['bench', 'check', 'exhook', 'explain', 'init', 'serve'],
      'check/probe',
      'common',
      'measure/contenders',
      'measure',
    ],
    // Plugins are found as an engine finds them, which is none of the public doors' business.
    imports: [
      ...[...PUBLIC_DOORS, 'plugin/index.ts', 'testing/index.ts', 'hooks/index.ts', 'primitives'],
      ...['contracts/ask-schema.ts', 'host/sources/locate.ts'],
    ],
    only: {
      exhook: [...PUBLIC_DOORS, 'adapters/exhook/index.ts'],
      explain: [...PUBLIC_DOORS, 'contracts/error-help.ts'],
      serve: [
        ...[...PUBLIC_DOORS, 'contracts/serve-config.ts', 'plugin/index.ts', 'hooks/index.ts', 'primitives'],
        ...['adapters/aedes/index.ts', 'adapters/connection/index.ts', 'adapters/exhook/index.ts'],
        'host/sources/locate.ts',
      ],
      // The instruments know nothing of hookring: the benches measure its peers with them.
      measure: [],
      'measure/contenders': [],
    },
    usesNode: true,
  },

  // An adapter knows hookring by its public doors, and the server that it adapts.
  'adapters/aedes': {
    imports: [
      ...PUBLIC_DOORS,
      'contracts/mqtt-topics.ts',
      'contracts/mqtt-options.ts',
      'contracts/parse-options.ts',
      'primitives',
      'adapters/reporting',
    ],
    usesNode: true,
  },
  'adapters/connection': { imports: [...PUBLIC_DOORS, 'plugin/index.ts', 'primitives'], usesNode: true },
  'adapters/exhook': {
    imports: [...PUBLIC_DOORS, 'contracts/mqtt-topics.ts', 'primitives', 'adapters/grpc/status.ts'],
    usesNode: true,
  },
  'adapters/http': {
    imports: [
      ...[...PUBLIC_DOORS, 'contracts/http-options.ts', 'contracts/parse-options.ts', 'primitives'],
      'adapters/reporting',
    ],
    usesNode: true,
  },
  // Where adapters tell operators of what clients are not told.
  'adapters/reporting': { imports: [], usesNode: true },
  'adapters/grpc': { imports: [...PUBLIC_DOORS, 'primitives'], usesNode: true },

  testing: {
    rooms: ['.', 'fake', ['generate', 'inline']],
    imports: ['index.ts', 'hooks/index.ts', 'plugin', 'contracts', 'primitives'],
    usesNode: true,
  },

  hooks: {
    rooms: ['.', 'cluster', 'redis'],
    imports: ['plugin', 'contracts', 'primitives'],
    usesNode: true,
  },

  // The server's thread.
  host: {
    rooms: [
      ...['.', 'plugins', 'lanes', 'calls', 'model', 'telemetry'],
      ...['sources', ['sources/bundler', 'sources/compiler'], 'fields', 'primitives'],
    ],
    imports: ['contracts', 'ring', 'primitives', 'sandbox'],
    usesNode: true,
  },

  // A lane's thread.
  worker: {
    rooms: [
      ...['.', 'process', 'calls'],
      ['runtimes/quickjs', 'runtimes/compartment', 'runtimes/wasm', 'runtimes/native', 'runtimes/exhook'],
      ...['runtimes/quickjs/guest', 'runtimes/c-abi', 'runtimes', 'thread', 'modules'],
    ],
    imports: ['plugin', 'contracts', 'ring', 'primitives', 'sandbox'],
    usesNode: true,
  },

  // What processes are confined with, on both threads.
  sandbox: { imports: [], usesNode: true },

  plugin: { imports: ['contracts'] },
  contracts: { imports: [] },
  ring: { imports: [] },
  primitives: { imports: [] },
}

/** Each package has one home: the files that import it, so that replacing it touches no others. */
export const HOMES = {
  '@grpc/grpc-js': ['adapters/grpc/', 'adapters/exhook/', 'worker/runtimes/exhook/connection.ts'],
  '@grpc/proto-loader': ['adapters/exhook/', 'worker/runtimes/exhook/wire.ts'],
  '@jitl/quickjs-ng-wasmfile-release-sync': ['worker/runtimes/quickjs/machine.ts'],
  '@msgpack/msgpack': ['adapters/connection/', 'hooks/redis/wire.ts'],
  aedes: ['adapters/aedes/', 'cli/serve/'],
  comlink: ['host/lanes/lane-link.ts', 'worker/control.ts', 'comlink-node-adapter.d.ts'],
  commander: ['cli/'],
  esbuild: ['host/sources/'],
  fastify: ['adapters/http/fastify.ts'],
  'fastify-plugin': ['adapters/http/fastify.ts'],
  'import-meta-resolve': ['host/sources/'],
  ioredis: ['hooks/redis/connection.ts'],
  koffi: ['worker/runtimes/native/index.ts'],
  pino: ['hooks/tracing.ts'],
  piscina: ['host/lanes/lane-threads.ts'],
  'prom-client': ['host/telemetry/metrics.ts', 'host/telemetry/metric-families.ts'],
  'rate-limiter-flexible': ['hooks/redis/rate.ts'],
  ses: ['worker/runtimes/compartment/realm.ts'],
  // As code in contracts and hooks alone, which scripts/lint/zod.grit holds; its types are part of what the doors say.
  zod: ['adapters/', 'cli/', 'contracts/', 'hooks/', 'host/', 'plugin/', 'testing/', 'worker/'],
}

/** Files may import each other in circles here, and nowhere else: the objects that a call touches name each other. */
export const CIRCLES_IN = 'host/model'
