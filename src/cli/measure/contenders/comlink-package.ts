/** Comlink and its adapter for Node.js, for both sides of contender `comlink`. */
import { importPackage } from '../packages.js'

export interface Comlink {
  wrap(endpoint: unknown): unknown
  expose(work: unknown, endpoint: unknown): void
  readonly releaseProxy: symbol
}

export async function importComlink(): Promise<{ comlink: Comlink; nodeEndpoint: (port: unknown) => unknown }> {
  const comlink = await importPackage<Comlink>('comlink/dist/esm/comlink.mjs')
  const nodeEndpoint = await importPackage<(port: unknown) => unknown>('comlink/dist/esm/node-adapter.mjs')
  return { comlink, nodeEndpoint }
}
