/**
 * The scenarios, each as small as its race allows. One word for each plugin says what its hook does: pass, deny, later (a
 * promise), until-aborted (a promise that its signal ends), latch-N (does not return before the script opens the latch).
 */
import type { Scenario } from './scenario.js'
import { DEADLINE_SCENARIOS } from './scenarios-deadlines.js'
import { TRAFFIC_SCENARIOS } from './scenarios-traffic.js'

export const SCENARIOS: readonly Scenario[] = [...TRAFFIC_SCENARIOS, ...DEADLINE_SCENARIOS]
