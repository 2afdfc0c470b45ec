/** The source text of a guest's trusted part: the functions of guest/ as they were compiled, and its events' classes. Pure. */
import type { HookpointSpec } from '../../../contracts/control.js'
import { eventSource } from './event-source.js'
import { bootGuest } from './guest/boot.js'
import { createGuestContexts } from './guest/context.js'
import { installGlobals } from './guest/globals.js'
import { createGuestHooks } from './guest/hooks.js'
import { captureIntrinsics } from './guest/intrinsics.js'
import { MARK, PROTOCOL } from './guest/protocol.js'
import { createGuestSetups } from './guest/setup.js'
import { createGuestText } from './guest/text.js'

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
