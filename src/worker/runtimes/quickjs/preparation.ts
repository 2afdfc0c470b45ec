/**
 * Prepares a plugin: its bundle is evaluated in a VM, up to its definition, and an image of that is what every start
 * begins from. The first lane of an engine that loads the bundle takes the image, the others find it. The lane's thread only.
 */
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { HookringError } from '../../../contracts/errors.js'
import { describe } from '../../../plugin/setup.js'
import { monotonicMs } from '../../../ring/clock.js'
import { codeOf } from '../code.js'
import type { PluginPlace } from '../runtime.js'
import { thrownBy } from './definition.js'
import { PROTOCOL } from './guest/protocol.js'
import { guestSource } from './guest-source.js'
import { type Image, readImage, writeImage } from './image.js'
import { createGuestLog } from './log.js'
import type { Machine, Pointer } from './machine.js'
import { memoryBytesFor, Vm, VmBroken } from './vm.js'

/** What import and setup may take together of the thread's time; a lane's setup has far longer, but nobody else runs. */
export const START_MS = 5_000
const MIB = 1024 * 1024

export function heapBytesOf({ memoryMb }: { readonly memoryMb: number }): number {
  return memoryMb * MIB
}

/** @throws HookringError PLUGIN_NOT_FOUND, PLUGIN_IMPORT_FAILED, PLUGIN_SETUP_TIMEOUT */
export async function imageOf(machine: Machine, place: PluginPlace): Promise<Image> {
  // In a child process the code has come over the pipe, and there is no folder to keep anything in.
  const file = place.code === undefined ? `${fileURLToPath(place.plugin.url)}.image` : null
  const found = file === null ? null : readImage(file, machine.id, memoryBytesFor(heapBytesOf(place.plugin)))
  if (found !== null) return found
  const image = await prepare(machine, place)
  if (file !== null) writeImage(file, image)
  return image
}

async function prepare(machine: Machine, place: PluginPlace): Promise<Image> {
  const { plugin, hookpoints, logger } = place
  const code = await codeOf(place)
  const heapBytes = heapBytesOf(plugin)
  const started = await machine.start({ leastBytes: 0, mostBytes: memoryBytesFor(heapBytes) })
  try {
    const vm = new Vm({
      started,
      machineId: machine.id,
      heapBytes,
      from: guestSource(hookpoints),
      services: { log: createGuestLog(plugin.name, logger(plugin.name)), settled() {}, timer() {} },
    })
    const deadlineMs = monotonicMs() + START_MS
    const namespace = evaluate(vm, code, place, deadlineMs)
    if (vm.enter(PROTOCOL.DEFINE, deadlineMs, namespace) !== 'returned') throw late(plugin.name, vm.failure())
    return vm.image(vm.said(4096) ?? '""')
  } catch (error) {
    if (!(error instanceof VmBroken)) throw error
    throw importFailed(plugin.name, error)
  }
}

function evaluate(vm: Vm, code: Uint8Array, { plugin }: PluginPlace, deadlineMs: number): Pointer {
  const { outcome, value } = vm.evaluate(code, basename(fileURLToPath(plugin.url)), deadlineMs)
  if (outcome === 'stopped') throw late(plugin.name, '')
  if (outcome === 'failed') throw importFailed(plugin.name, thrownBy(vm.said(65_536)))
  if (vm.promiseState(value) < 0) return value
  const jobs = vm.runJobs(deadlineMs, deadlineMs)
  if (jobs === 'stopped') throw late(plugin.name, '')
  const state = vm.promiseState(value)
  if (state === 1) return vm.promiseResult(value)
  if (state === 0) throw importFailed(plugin.name, new Error('it waits for something that never comes'))
  vm.enter(PROTOCOL.DESCRIBE, deadlineMs, vm.promiseResult(value))
  throw importFailed(plugin.name, thrownBy(vm.said(65_536)))
}

function importFailed(name: string, cause: unknown): HookringError {
  const what = cause instanceof Error && cause.name === 'SyntaxError' ? 'does not parse' : 'threw while it was imported'
  return new HookringError('PLUGIN_IMPORT_FAILED', `plugin ${name} ${what}: ${describe(cause)}`, { cause })
}

function late(name: string, failure: string): HookringError {
  if (failure !== '') return importFailed(name, new Error(failure))
  return new HookringError('PLUGIN_SETUP_TIMEOUT', `plugin ${name} did not finish its import in ${START_MS} ms`)
}
