/**
 * The program of a child process: boots with nothing loaded, says so, and serves the lane at the other end of its pipe until
 * that end closes. It may read this package and nothing else; plugins come over the pipe. The child's main thread.
 */
import { captureOutput } from '../thread/capture.js'
import { createLogSender } from '../thread/log-sender.js'
import { ChildCalls } from './child-calls.js'
import { createChildPipe } from './child-pipe.js'
import { FROM_CHILD, HEAD_BYTES, MAX_LOG_BYTES, TO_CHILD } from './frames.js'

const pipe = createChildPipe()
let logTaken: () => void = () => {}
const sender = createLogSender({
  log(batch) {
    const text = Buffer.from(JSON.stringify({ ...batch, lines: batch.lines.map((line) => calls.indexed(line)) }))
    // The lane takes no batch that is longer.
    const isFit = text.length <= MAX_LOG_BYTES - HEAD_BYTES
    const nothing = Buffer.from(JSON.stringify({ lines: [], dropped: batch.lines.length + batch.dropped }))
    pipe.send(FROM_CHILD.log, { payload: isFit ? text : nothing })
    return new Promise((resolve) => {
      logTaken = resolve
    })
  },
})
captureOutput(sender)
const calls = new ChildCalls(pipe, sender)

process.on('exit', (code) => pipe.send(FROM_CHILD.leaves, { extra: code >>> 0 }))
pipe.send(FROM_CHILD.ready, {})
await pipe.serve(
  (frame) => {
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
  },
  () => calls.needsLoop(),
)
