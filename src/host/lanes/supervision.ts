/**
 * Wires the supervision of a call path's lanes: the watchdog finds lanes that do not come back, and the supervisor starts
 * and replaces lanes. For the engine and for the proof of interleavings. Host's thread only.
 */
import { monotonicMs } from '../../ring/clock.js'
import type { CallPath, LaneOverseer } from '../calls/call-path.js'
import type { LaneListener } from '../model/lane.js'
import type { ViolationKind } from '../telemetry/recorders.js'
import { Supervisor, type SupervisorOptions } from './supervisor.js'
import { Watch, Watchdog } from './watchdog.js'

export interface SupervisionOptions
  extends Omit<SupervisorOptions, 'expiry' | 'pump' | 'watchdog' | 'listener' | 'onCrashBlamed'> {
  readonly callPath: CallPath
  readonly hangMs: number
  /** What lanes report to. Default: the call path. */
  readonly listener?: LaneListener
  /** A plugin has failed outside any call. */
  blame(plugin: string): void
  /** A lane's worker broke the protocol; the lane is replaced. */
  onViolation?(kind: ViolationKind): void
}

/** Takes over the lanes of a call path. */
export function createSupervision(given: SupervisionOptions): Supervisor {
  const { callPath, hangMs, listener, blame, onViolation, ...options } = given
  const { expiry, pump, timer } = callPath
  const watchdog: Watchdog = new Watchdog({
    hangMs,
    deadlines: () => timer,
    now: monotonicMs,
    lostMsSince: callPath.lostMsSince,
    onHang(lane, hang) {
      if (hang.reason === 'stall' && hang.plugin !== undefined) blame(hang.plugin)
      supervisor.replace(lane, hang.reason, hang)
    },
    onLate(lane) {
      lane.isLate = true
      expiry.moveUnclaimed(lane)
    },
  })
  const supervisor: Supervisor = new Supervisor({
    ...options,
    expiry,
    pump,
    watchdog,
    listener: listener ?? callPath.listener,
    onCrashBlamed: blame,
  })
  const overseer: LaneOverseer = {
    busy: (lane) => watchdog.busy(lane),
    due(entry, nowMs) {
      if (entry instanceof Watch) watchdog.check(entry, nowMs)
    },
    violated(lane, kind, call) {
      const { plugins, recorder } = lane.bulkhead
      recorder?.recordViolation(kind)
      onViolation?.(kind)
      for (const { breaker } of plugins) breaker.record('failure', monotonicMs())
      supervisor.replace(lane, 'violation', {
        plugin: plugins.length === 1 ? plugins[0]?.name : undefined,
        hookpoint: call?.hookpoint.name,
        message: `its worker broke the ring's protocol (${kind})`,
      })
    },
  }
  callPath.overseeBy(overseer)
  return supervisor
}
