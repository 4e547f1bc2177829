/** Does `work`, and says by how many MiB the memory of this process grew at most meanwhile. */
export async function watchingMemory<Result>(
  work: () => Promise<Result>,
): Promise<{ readonly result: Result; readonly grewMib: number }> {
  const before = process.memoryUsage().rss;
  let highest = before;
  const sample = setInterval(() => {
    highest = Math.max(highest, process.memoryUsage().rss);
  }, 20);
  try {
    const result = await work();
    return { result, grewMib: (highest - before) / 1024 / 1024 };
  } finally {
    clearInterval(sample);
  }
}
