/**
 * Binds an object's methods to it, so that users may take them off: `const { hooks, flush } = engine`. For objects that users
 * hold.
 */
export function bindMethods<T extends object>(object: T): T {
  const methods = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(object) as object)
  for (const [name, { value }] of Object.entries(methods)) {
    if (name === 'constructor' || typeof value !== 'function') continue
    Object.defineProperty(object, name, { value: value.bind(object), writable: true, configurable: true })
  }
  return object
}
