/** What an object of hooks says to names that its contract does not have. Any thread. */
import { HookringError } from './errors.js'

/** Methods that NestJS looks for on every provider, and calls. */
const LIFECYCLE_METHODS: ReadonlySet<string> = new Set([
  'onModuleInit',
  'onModuleDestroy',
  'onApplicationBootstrap',
  'onApplicationShutdown',
])

/**
 * The prototype of the hooks object, where it costs the functions nothing. A name that looks like a misspelt hookpoint is
 * a function that throws with the names there are. Any other name is undefined, as on every object: inspectors and
 * dependency injection containers ask for many names.
 */
export function unknownHookpoint(contract: { readonly id: string; readonly hookpoints: object }): object {
  const names = Object.keys(contract.hookpoints)
  const lowerCase = new Set(names.map((name) => name.toLowerCase()))
  return new Proxy(Object.prototype, {
    get(ordinary, key, receiver) {
      if (key in ordinary) return Reflect.get(ordinary, key, receiver)
      if (typeof key === 'symbol' || LIFECYCLE_METHODS.has(key)) return undefined
      if (!/^on[A-Z]/.test(key) && !lowerCase.has(key.toLowerCase())) return undefined
      return () => {
        throw new HookringError(
          'HOOKPOINT_UNKNOWN',
          `contract ${contract.id} has no hookpoint ${key}; it has ${names.join(', ')}`,
          { hookpoint: key },
        )
      }
    },
  })
}
