/**
 * The plugin of case `recovery`: writes down each call that it runs before it does anything else, and loops for ever on
 * marked events. Runs in a lane; the file outlives the thread, so that a call run in two lanes is seen twice.
 */
import { openSync, writeSync } from 'node:fs'
import { threadId } from 'node:worker_threads'
import { delivery } from 'hookring/contracts'
import { definePlugin } from 'hookring/plugin'
import { z } from 'zod'

/** payloadLen of an event on which the plugin hangs. */
export const HANGS_AT_LENGTH = 666

/** One record per call: its number, when it entered the hook (hrtime, ns), and the lane; appended in one write each. */
export const RECORD_WORDS = 3

export default definePlugin(delivery, {
  name: 'numbered',
  config: z.object({ runsFile: z.string() }),
  setup({ config }) {
    const file = openSync(config.runsFile, 'a')
    const record = new BigUint64Array(RECORD_WORDS)
    // No two threads of a process have the same.
    record[2] = BigInt(threadId)
    return {
      onMessageEnqueue(event) {
        record[0] = event.seq
        record[1] = process.hrtime.bigint()
        writeSync(file, record)
        while (event.payloadLen === HANGS_AT_LENGTH);
      },
    }
  },
})
