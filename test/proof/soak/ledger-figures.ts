/**
 * What the ledger adds up to. What counts as what is said in `--help`. Plain numbers; host's thread only.
 */

/** `calls = settledOnce + settledTwice + neverSettled`, and the same for observations with the four behind them. */
export interface LedgerFigures {
  calls: number
  settledOnce: number
  settledTwice: number
  neverSettled: number
  observations: number
  deliveredOnce: number
  deliveredTwice: number
  reportedUndelivered: number
  unexplained: number
  orderViolations: number
}

/** Besides the ledger proper. Those up to the line must be 0. */
export interface LedgerNotes {
  wrongVerdicts: number
  /** Hooks that were entered more than once for one call; such a call counts as settled twice. */
  enteredTwice: number
  /** A hook was given an event that was not the call's. */
  garbledEvents: number
  reportedTwice: number
  /** Dead letters of observations that had been accounted for. */
  strayLetters: number
  /** Hooks that were entered although an operator had quarantined the plugin. */
  askedWhileHeld: number
  /** Quarantines of an operator's that ended without a release. */
  lostQuarantines: number
  // --
  /** Of reportedUndelivered: the hook had been entered and was interrupted, as far as anybody can tell. */
  reportedThoughEntered: number
  /** Of reportedUndelivered, by what reported it. */
  reportedBy: Record<string, number>
  /** Calls by what decided them: plugins, the policy for a kind of failure, or a coded error. */
  decidedBy: Record<string, number>
}

export function noFigures(): LedgerFigures {
  return {
    calls: 0,
    settledOnce: 0,
    settledTwice: 0,
    neverSettled: 0,
    observations: 0,
    deliveredOnce: 0,
    deliveredTwice: 0,
    reportedUndelivered: 0,
    unexplained: 0,
    orderViolations: 0,
  }
}

export function noNotes(): LedgerNotes {
  return {
    wrongVerdicts: 0,
    enteredTwice: 0,
    garbledEvents: 0,
    reportedTwice: 0,
    strayLetters: 0,
    askedWhileHeld: 0,
    lostQuarantines: 0,
    reportedThoughEntered: 0,
    reportedBy: {},
    decidedBy: {},
  }
}

/** Whether nothing happened that must never happen. */
export function isClean(ledger: LedgerFigures, notes: LedgerNotes): boolean {
  const never = [
    ledger.settledTwice,
    ledger.neverSettled,
    ledger.deliveredTwice,
    ledger.unexplained,
    ledger.orderViolations,
    notes.wrongVerdicts,
    notes.enteredTwice,
    notes.garbledEvents,
    notes.reportedTwice,
    notes.strayLetters,
    notes.askedWhileHeld,
    notes.lostQuarantines,
  ]
  return never.every((count) => count === 0)
}
