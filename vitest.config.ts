import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // Most tests run lanes and deadlines of their own: two files at once would measure each other.
    fileParallelism: false,
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
  },
})
