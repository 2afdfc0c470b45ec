/**
 * A lane's thread: the task that Piscina runs. It lasts as long as the lane; it boots with nothing loaded, so that a spare
 * can wait here until it is needed, and ends when the host says stop.
 */
import type { MessagePort } from 'node:worker_threads'
import { threadId } from 'node:worker_threads'
import type { CompilerLine } from '../contracts/compiling.js'
import type { Contract } from '../contracts/contract.js'
import type { ChildProfile } from '../contracts/process.js'
import { exposeLane, hostControl } from './control.js'
import { LaneLife } from './lane-life.js'
import type { ChildNews } from './process/child-process.js'
import { prepareWhileIdle } from './spare.js'
import { captureOutput } from './thread/capture.js'
import { hardenThread } from './thread/hardening.js'
import { createHostServices } from './thread/host-services.js'
import { LogSender } from './thread/log-sender.js'

export interface LaneTask {
  /** Host to lane calls. */
  readonly lanePort: MessagePort
  /** Lane to host calls. */
  readonly hostPort: MessagePort
  /** Its plugins run in a child process, made as this says. */
  readonly child: ChildProfile | null
  /** `name@version` of what its plugins are written for. */
  readonly contract: string
  /** For plugins in TypeScript; null: it has none. */
  readonly compiler: CompilerLine<MessagePort> | null
}

export default async function runLaneThread({
  lanePort,
  hostPort,
  child,
  contract,
  compiler,
}: LaneTask): Promise<void> {
  const host = hostControl(hostPort)
  const sender = new LogSender(host)
  captureOutput(sender)
  hardenThread()
  // The host ends what is still there of it when it lets go of the lane.
  const news: ChildNews = {
    booted: (pid) => lanePort.postMessage({ childBooted: pid }),
    gone: () => lanePort.postMessage({ childGone: true }),
  }
  const prestarted = child === null ? null : (await import('./process/child-runtime.js')).prestartChild(child, news)
  const services = createHostServices(host)
  const lane = new LaneLife({ sender, prestarted, onLost: (loss) => void host.lost(loss), services })
  exposeLane(lanePort, lane)
  const warmUp = child === null ? await preload(contract) : () => {}
  // After what is the thread's own, which the hooks need not see.
  if (compiler !== null) (await import('./modules/index.js')).loadTypeScript(compiler)
  lanePort.postMessage({ ready: threadId })
  lanePort.on('message', prepareWhileIdle(warmUp))
  try {
    await lane.ended
  } finally {
    lanePort.close()
    hostPort.close()
  }
}

/** What nearly every plugin in the thread imports: a spare that has it takes over in milliseconds. @returns its first use. */
async function preload(contract: string): Promise<() => void> {
  const [shipped, { safeParse }] = await Promise.all([
    import('../contracts/index.js'),
    import('../contracts/ask-schema.js'),
    import('../plugin/index.js'),
  ])
  const own = Object.values<unknown>(shipped).find((it): it is Contract => (it as Partial<Contract>).id === contract)
  return () => {
    // The schemas that its plugins will ask for; of a contract that does not ship, at least zod's own code.
    const [point] = Object.values(own?.hookpoints ?? shipped.delivery.hookpoints)
    if (point !== undefined) safeParse(point.event, {})
  }
}
