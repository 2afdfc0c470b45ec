/**
 * The program of a child process: boots with nothing loaded, says so, and serves the lane at the other end of its pipe until
 * that end closes. It may read this package and nothing else; plugins come over the pipe. The child's main thread.
 */
import type { LogBatch } from '../../contracts/control.js'
import { captureOutput } from '../thread/capture.js'
import { LogSender } from '../thread/log-sender.js'
import { ChildCalls } from './child-calls.js'
import { ChildPipe } from './child-pipe.js'
import { FROM_CHILD, type Frame, TO_CHILD } from './frames.js'
import { logPayloads } from './log-frames.js'

const pipe = new ChildPipe()
let logTaken: () => void = () => {}

/** In as many frames as it takes, each sent when the one before it was taken. */
async function sendLog({ lines, dropped }: LogBatch): Promise<void> {
  for (const payload of logPayloads(
    lines.map((line) => calls.crossing(line)),
    dropped,
  )) {
    pipe.send(FROM_CHILD.log, { payload })
    await new Promise<void>((resolve) => {
      logTaken = resolve
    })
  }
}

function take(frame: Frame): void | Promise<void> {
  switch (frame.what) {
    case TO_CHILD.call:
      calls.call(frame)
      return
    case TO_CHILD.abort:
      calls.abort(frame)
      return
    case TO_CHILD.logTaken:
      logTaken()
      return
    case TO_CHILD.ping:
      pipe.send(FROM_CHILD.pong, { id: frame.id })
      return
    case TO_CHILD.load:
      return calls.load(frame)
    case TO_CHILD.shutdown:
    case TO_CHILD.destroy:
      void calls.endLife(frame)
      return
  }
}

const sender = new LogSender({ log: sendLog })
captureOutput(sender)
const calls = new ChildCalls(pipe, sender)

process.on('exit', (code) => pipe.send(FROM_CHILD.leaves, { extra: code >>> 0 }))
pipe.send(FROM_CHILD.ready, {})
await pipe.serve(take, calls)
