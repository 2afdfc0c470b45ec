/** The source text of a guest's trusted part: the functions beside this file as they were compiled, and its events' classes. Pure. */
import type { HookpointSpec } from '../../../../contracts/control.js'
import { eventSource } from '../event-source.js'
import { MARK, PROTOCOL } from '../protocol.js'
import { bootGuest } from './boot.js'
import { createGuestContexts } from './context.js'
import { installGlobals } from './globals.js'
import { createGuestHooks } from './hooks.js'
import { captureIntrinsics } from './intrinsics.js'
import { createGuestSetups } from './setup.js'
import { createGuestText } from './text.js'

/** An expression: a function of (host, header, input) that gives { dispatch, enter }. */
export function guestSource(hookpoints: readonly HookpointSpec[]): string {
  return `(function () {
'use strict'
const parts = {
  protocol: ${JSON.stringify(PROTOCOL)},
  mark: ${JSON.stringify(MARK)},
  captureIntrinsics: ${captureIntrinsics},
  createText: ${createGuestText},
  installGlobals: ${installGlobals},
  createContexts: ${createGuestContexts},
  createHooks: ${createGuestHooks},
  createSetups: ${createGuestSetups},
  events: ${eventSource(hookpoints)},
}
const boot = ${bootGuest}
return (host, header, input) => boot(parts, host, header, input)
})()`
}
