/**
 * The recorder: writes the events that it is told of to a file, one line of JSON each. Runs in a lane of its own, as a
 * shadow; `engine.record()` registers it, nobody else. Written for any contract: which one, its URL says
 * (`?contract=shop@1`), and the plans of its events are in its config.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { z } from 'zod/v4'
import type { Contract } from '../contracts/contract.js'
import { createEventWriter } from '../contracts/recording/event-json.js'
import { RECORDER_SAYS, type RecorderConfig, type RecorderSays } from '../contracts/recording/format.js'
import { definePlugin, type HookContext, type PluginLogger } from '../plugin/index.js'

/** Lines are gathered up to this size, so that a burst is a few writes. */
const BUFFER_BYTES = 64 * 1024
/** And at most for this long, so that little is lost with the process. */
const FLUSH_MS = 100

const [name = '', version = ''] = (new URL(import.meta.url).searchParams.get('contract') ?? '').split('@')
const writtenFor = {
  name,
  version: Number(version),
  id: `${name}@${version}`,
  hookpoints: {},
  services: {},
} satisfies Contract

export default definePlugin(writtenFor, {
  name: 'recorder',
  config: z.custom<RecorderConfig>(),
  setup({ config, log }) {
    const file = createRecordingFile(config, log)
    const hooks = config.hookpoints.map(({ name: hookpoint, plan, redacted }) => {
      const write = createEventWriter(plan, redacted)
      const begin = `,"hookpoint":${JSON.stringify(hookpoint)}`
      const hook = (event: unknown, { traceId }: HookContext) => {
        if (file.isOver()) return
        const at = performance.timeOrigin + performance.now() - config.startedAtMs
        const trace = traceId === undefined ? '' : `,"traceId":${JSON.stringify(traceId)}`
        file.write(`{"at":${at.toFixed(3)}${begin}${trace},"event":${JSON.stringify(write(event))}}\n`)
      }
      return [hookpoint, hook]
    })
    return { ...Object.fromEntries(hooks), destroy: file.close }
  },
})

function createRecordingFile({ file, maxBytes }: RecorderConfig, log: PluginLogger) {
  const fd = openSync(file, 'r+')
  let size = cutToWholeLines(fd)
  let lines: string[] = []
  let gathered = 0
  let recorded = 0
  let left = 0
  let state: 'open' | 'full' | 'failed' = 'open'
  let timer: NodeJS.Timeout | null = null
  const say = (said: RecorderSays) => log.info('recording', { [RECORDER_SAYS]: said })

  function flush(): void {
    if (timer !== null) clearTimeout(timer)
    timer = null
    if (lines.length === 0) return
    const count = lines.length
    const text = Buffer.from(lines.join(''))
    lines = []
    gathered = 0
    try {
      for (let at = 0; at < text.length; ) at += writeSync(fd, text, at, text.length - at, size + at)
      size += text.length
      recorded += count
    } catch (error) {
      left += count
      end('failed', `${file}: ${(error as Error).message}`)
    }
  }

  function end(how: 'full' | 'failed', message: string): void {
    if (state !== 'open') return
    state = how
    say({ state: how, message })
  }

  return {
    /** Counts what comes then. */
    isOver() {
      if (state === 'open') return false
      left += 1
      return true
    },
    write(line: string) {
      const bytes = Buffer.byteLength(line)
      if (size + gathered + bytes > maxBytes) {
        flush()
        left += 1
        end('full', `${file} has reached maxBytes (${maxBytes})`)
        return
      }
      lines.push(line)
      gathered += bytes
      if (gathered >= BUFFER_BYTES) flush()
      else timer ??= setTimeout(flush, FLUSH_MS)
    },
    close() {
      flush()
      closeSync(fd)
      say({ state: 'closed', recorded, left })
    },
  }
}

/** A lane before this one may have ended in the middle of a line. */
function cutToWholeLines(fd: number): number {
  const chunk = Buffer.alloc(BUFFER_BYTES)
  let { size } = fstatSync(fd)
  while (size > 0) {
    const length = Math.min(size, chunk.length)
    readSync(fd, chunk, 0, length, size - length)
    const newline = chunk.subarray(0, length).lastIndexOf(0x0a)
    if (newline >= 0) {
      size += newline + 1 - length
      break
    }
    size -= length
  }
  ftruncateSync(fd, size)
  return size
}
