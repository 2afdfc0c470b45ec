/**
 * The lane's end of the control plane: comlink over two MessagePorts of its own, one for each direction. One port for
 * each, because the lane counts what arrives on the host's (a parked lane is woken by that count) and acknowledgements of
 * its own calls must not be counted.
 */
import type { MessagePort } from 'node:worker_threads'
import { expose, wrap } from 'comlink'
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs'
import type { HostControl, LaneControl, LogBatch } from '../contracts/control.js'

export interface RemoteHost {
  log(batch: LogBatch): Promise<void>
  lost(...args: Parameters<HostControl['lost']>): Promise<void>
  serve: HostControl['serve']
}

export function hostControl(port: MessagePort): RemoteHost {
  const remote = wrap<HostControl>(nodeEndpoint(port))
  // The port must not keep the thread alive: the other one does, as long as the lane lives.
  port.unref()
  return {
    log: async (batch) => remote.log(JSON.stringify(batch)),
    lost: (loss) => remote.lost(loss),
    serve: (call) => remote.serve(call),
  }
}

export function exposeLane(port: MessagePort, lane: LaneControl & { controlArrived(): void }): void {
  port.on('message', () => lane.controlArrived())
  const exposed: LaneControl = {
    load: (spec) => lane.load(spec),
    shutdown: () => lane.shutdown(),
    handOver: (step) => lane.handOver(step),
    stop: (isSucceeded) => lane.stop(isSucceeded),
  }
  expose(exposed, nodeEndpoint(port))
}
