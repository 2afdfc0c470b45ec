import { defineConfig } from 'vitest/config'

/** Their assertions stand or fall with deadlines of some ten milliseconds: whatever ran beside them would be measured. */
const ALONE = [
  'test/engine/hangs.test.ts',
  'test/engine/lanes.test.ts',
  'test/engine/overload.test.ts',
  'test/engine/zombies.test.ts',
  'test/runtimes/exhook-serve.test.ts',
  'test/testing/readme.test.ts',
]

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
        // Two files at once, on any machine: a file runs lanes, processes and servers of its own.
        test: {
          ...shared,
          name: 'beside',
          include: ['test/**/*.test.ts'],
          exclude: ALONE,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: { ...shared, name: 'alone', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
})
