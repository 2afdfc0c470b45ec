import { defineConfig } from 'vitest/config'

/** Their assertions stand or fall with deadlines of some ten milliseconds: whatever ran beside them would be measured. */
const ALONE = [
  'test/engine/hangs.test.ts',
  'test/engine/lanes.test.ts',
  'test/engine/overload.test.ts',
  'test/engine/zombies.test.ts',
  'test/package/snippets.test.ts',
  'test/runtimes/exhook-serve.test.ts',
]

/** Nothing here starts a lane, a process or a server. */
const PURE = [
  'test/contracts/{codec-*,event-json,exhook*,mqtt-topics,shipped}.test.ts',
  'test/host/{calls,fields,model,plugins,primitives,telemetry}/**/*.test.ts',
  'test/host/lanes/{lane-link,supervisor,watchdog}.test.ts',
  'test/hooks/{acl,auth,delivery-contract,log-text,logger,sys}.test.ts',
  'test/primitives/**/*.test.ts',
  'test/ring/{extents,idle-strategy,layout,protocol,sides,standstill}.test.ts',
  'test/testing/{generate,read-result,replay}.test.ts',
  'test/tooling/**/*.test.ts',
]

/**
 * `.ci/run` sets it: a machine that stands still for a moment is none of the code's doing. Where nothing is started, a
 * failure is a failure.
 */
const retry = { count: Number(process.env.TEST_RETRIES ?? 0), delay: 2_000 }

const shared = {
  pool: 'forks' as const,
  // For tests that start commands and say that they may run beside each other (`concurrent`).
  maxConcurrency: 2,
  testTimeout: 30_000,
  hookTimeout: 30_000,
  server: {
    deps: {
      // What ships is loaded by Node.js itself, once: a copy made by the test runner would be another HookringError.
      external: [/\/dist\//],
    },
  },
}

export default defineConfig({
  test: {
    projects: [
      {
        test: { ...shared, name: 'pure', include: PURE, maxWorkers: 2, sequence: { groupOrder: 0 } },
      },
      {
        // Two files at once, on any machine: a file runs lanes, processes and servers of its own.
        test: {
          ...shared,
          name: 'beside',
          include: ['test/**/*.test.ts'],
          exclude: [...ALONE, ...PURE],
          maxWorkers: 2,
          retry,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: { ...shared, name: 'alone', include: ALONE, maxWorkers: 1, retry, sequence: { groupOrder: 2 } },
      },
    ],
  },
})
