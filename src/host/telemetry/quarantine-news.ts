/** Tells operators when a plugin is quarantined or released. Host's thread only. */
import type { Logger } from '../../contracts/options.js'
import type { BreakerChange } from '../primitives/circuit-breaker.js'
import type { Emit } from './events.js'

export function createQuarantineNews(emit: Emit, logger: Logger): (plugin: string, change: BreakerChange) => void {
  return (plugin, { to, calls, failures }) => {
    if (to === 'closed') emit('pluginReleased', { plugin })
    if (to !== 'open' && to !== 'held') return
    const by = to === 'held' ? 'operator' : 'failures'
    emit('pluginQuarantined', { plugin, by, calls, failures })
    logger.warn({ plugin, calls, failures }, `quarantined by ${by}`)
  }
}
