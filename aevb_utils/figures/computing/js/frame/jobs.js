/** Long work: generators that yield what is known so far, run in a worker, or in slices where none may be started. */

/** @typedef {Generator<any, any, void>} Work */

/** @type {Map<string, (input: any) => Work>} */
const jobs = new Map();

/** @type {string} */
let source = "";

/** @type {Worker | null} a worker that has done its job, for the next one: it takes some time to start one */
let idle = null;

/** @returns {Worker} */
function readyWorker() {
  const kept = idle;
  idle = null;
  if (kept) return kept;
  const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const worker = new Worker(address);
  URL.revokeObjectURL(address);
  return worker;
}

/**
 * Name a job, at the top of a module.
 * @template I
 * @param {string} name
 * @param {(input: I) => Work} work a generator function; what it yields and returns must be data
 */
export function defineJob(name, work) {
  jobs.set(name, work);
}

/**
 * Do a job in the background.
 * @param {string} name
 * @param {any} input data
 * @param {(result: any, done: boolean) => void} tell called with all that is yielded, and with what is returned
 * @returns {() => void} stops it
 */
export function runJob(name, input, tell) {
  let stopped = false;
  try {
    const worker = readyWorker();
    const inSlices = () => {
      worker.terminate();
      if (!stopped) stop = slices(name, input, tell);
    };
    worker.onmessage = (event) => {
      if (stopped) return;
      if (event.data.done) {
        stop = () => {};
        idle?.terminate();
        idle = worker;
      }
      tell(event.data.result, event.data.done);
    };
    worker.onerror = inSlices;
    worker.postMessage({ name, input });
    let stop = () => worker.terminate();
    return () => {
      stopped = true;
      stop();
    };
  } catch {
    return slices(name, input, tell);
  }
}

/**
 * Do a job on the page's own time, twelve milliseconds at a time.
 * @param {string} name
 * @param {any} input
 * @param {(result: any, done: boolean) => void} tell
 * @returns {() => void}
 */
function slices(name, input, tell) {
  const work = start(name, input);
  let timer = 0;
  const go = () => {
    const until = performance.now() + 12;
    let step = work.next();
    while (!step.done && performance.now() < until) step = work.next();
    if (step.value !== undefined) tell(step.value, Boolean(step.done));
    if (!step.done) timer = setTimeout(go);
  };
  timer = setTimeout(go);
  return () => clearTimeout(timer);
}

/**
 * @param {string} name
 * @param {any} input
 * @returns {Work}
 */
function start(name, input) {
  const job = jobs.get(name);
  if (!job) throw new Error(`There is no job ${name}.`);
  return job(input);
}

/**
 * In a page: remember the script that a worker runs. In a worker: wait for a job.
 * @param {() => unknown} program
 */
export function prepareJobs(program) {
  source = `(${program})();`;
  if (typeof document !== "undefined" || typeof postMessage === "undefined") return;
  onmessage = (event) => {
    const work = start(event.data.name, event.data.input);
    let step = work.next();
    for (; !step.done; step = work.next()) if (step.value !== undefined) postMessage({ result: step.value, done: false });
    postMessage({ result: step.value, done: true });
  };
}
