/**
 * Runtime `quickjs`: JavaScript in a QuickJS of its own, compiled to WebAssembly: a heap with a limit, no Node.js, no
 * globals but JavaScript's, and an interrupt at each call's deadline that the lane survives. For plugins that the
 * operator does not trust. The host has made one module of the plugin and its packages (host/sources/bundle-for-guest.ts).
 */

import type { Runtime } from '../runtime.js'
import { definedName } from './definition.js'
import { createGuest } from './guest-plugin.js'
import { loadMachine } from './machine.js'
import { imageOf } from './preparation.js'

export const quickjsRuntime: Runtime = {
  async load(place) {
    const { plugin, contract, hookpoints, named, logger } = place
    const machine = await loadMachine(plugin.name)
    const image = await imageOf(machine, place)
    const name = definedName(image.defined, plugin)
    named(name)
    const guest = await createGuest({ name, spec: plugin, contract, hookpoints, machine, image, log: logger(name) })
    return { ...guest, takes: 'bytes' }
  },
}
