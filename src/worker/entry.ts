/**
 * A lane's thread: the task that Piscina runs. It lasts as long as the lane; it boots with nothing loaded, so that a spare
 * can wait here until it is needed, and ends when the host says stop.
 */
import type { MessagePort } from 'node:worker_threads'
import { threadId } from 'node:worker_threads'
import { captureOutput } from './capture.js'
import { exposeLane, hostControl } from './control.js'
import { createLane } from './lane.js'
import { createLogSender } from './log-sender.js'

export interface LaneTask {
  /** Host to lane calls. */
  readonly lanePort: MessagePort
  /** Lane to host calls. */
  readonly hostPort: MessagePort
}

export default async function runLaneThread({ lanePort, hostPort }: LaneTask): Promise<void> {
  const sender = createLogSender(hostControl(hostPort))
  captureOutput(sender)
  const lane = createLane(sender)
  exposeLane(lanePort, lane)
  // What nearly every plugin imports: a spare that has it takes over in milliseconds.
  await Promise.all([import('../contracts/index.js'), import('../plugin/index.js')])
  lanePort.postMessage({ ready: threadId })
  try {
    await lane.ended
  } finally {
    lanePort.close()
    hostPort.close()
  }
}
