/** The engine that tests of shipped plugins and of the example server ask; this line decides which. */
export { createInProcessEngine as createTestEngine, type TestEngine } from './in-process-engine.js'
