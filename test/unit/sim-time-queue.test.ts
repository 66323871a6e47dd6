import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { EventQueue } from "../../src/sim/time/event-queue.js";
import { Schedule } from "../../src/sim/time/schedule.js";
import type { ScheduledEvent } from "../../src/sim/time/event.js";
import { event } from "./fixtures/virtual-time.js";

describe("the event queue", () => {
  const keys = fc.array(fc.tuple(fc.nat(20), fc.nat(3)), { maxLength: 200 });
  const choices = fc.array(fc.tuple(fc.nat(20), fc.nat(3), fc.nat(9)), { maxLength: 200 });

  test("the event queue returns the earliest event first, by time, then rank, then order", () => {
    fc.assert(
      fc.property(keys, (list) => {
        const events = list.map(([time, rank], order) => keyed(time, rank, order));
        const queue = new EventQueue();
        for (const one of events) queue.push(one);
        expect(drain(queue)).toEqual([...events].sort(byKeys));
      }),
    );
  });

  test("the event queue keeps its order when events are added and removed in between, and when it is pruned", () => {
    fc.assert(
      fc.property(choices, (list) => {
        const queue = new EventQueue();
        let model: ScheduledEvent[] = [];
        for (const [order, [time, rank, choice]] of list.entries()) {
          const one = keyed(time, rank, order);
          queue.push(one);
          model = [...model, one].sort(byKeys);
          if (choice < 4) {
            expect(queue.peek()).toBe(model.shift());
            queue.pop();
          } else if (choice === 4) {
            queue.prune(({ order }) => order % 3 !== 0);
            model = model.filter(({ order }) => order % 3 !== 0);
          }
          expect(queue.size).toBe(model.length);
        }
        expect(drain(queue)).toEqual(model);
      }),
    );
  });

  test("the event queue is empty at the start and at the end", () => {
    const queue = new EventQueue();
    expect(queue.peek()).toBeUndefined();
    queue.pop();
    queue.push(keyed(1, 0, 0));
    queue.pop();
    expect([queue.peek(), queue.size]).toEqual([undefined, 0]);
  });

  test("the event queue has room for a million events, and adding or removing one costs about as much as among a thousand", () => {
    const each = (waiting: number): number => {
      const queue = new EventQueue();
      for (let order = 0; order < waiting; order++) queue.push(keyed(order, 0, order));
      expect(queue.size).toBe(waiting);
      const started = performance.now();
      for (let order = 0; order < 50_000; order++) {
        const next = queue.peek()!;
        queue.pop();
        queue.push(keyed(next.time + ((order * 7919) % waiting), 0, waiting + order));
      }
      return performance.now() - started;
    };
    each(1_000);
    // The heap is twice as deep, and larger than the caches. A linear search would cost a thousand times as much.
    expect(each(1_000_000)).toBeLessThan(60 * each(1_000));
  });
});

describe("the schedule", () => {
  test("the schedule refuses events in the past", () => {
    const schedule = new Schedule();
    schedule.jump(10);
    expect(() => schedule.schedule(keyed(9, 0, 0))).toThrow("9 ns is past: it is 10 ns");
    expect(() => schedule.schedule(keyed(NaN, 0, 0))).toThrow("NaN ns is past");
  });

  test("the schedule skips cancelled events", () => {
    const schedule = new Schedule();
    schedule.schedule({ ...keyed(5, 0, 0), cancelled: true });
    const timer = schedule.after(100_000, () => undefined, false);
    const later = keyed(200_000, 0, 1);
    schedule.schedule(later);
    schedule.cancel(timer);
    expect(schedule.next()).toBe(later);
  });

  test("cancelled timers leave the schedule's queue long before their time", () => {
    const schedule = new Schedule();
    const kept = schedule.after(1, () => undefined, false);
    let most = 0;
    for (let count = 0; count < 100_000; count++) {
      const timer = schedule.after(5e9, () => undefined, false);
      schedule.cancel(timer);
      most = Math.max(most, schedule.size);
    }
    expect(most).toBeLessThan(2_500);
    expect(schedule.next()).toBe(kept);
  });

  test("a timer that was cancelled twice, or after it ran, is counted at most once", () => {
    const schedule = new Schedule();
    let ran = 0;
    const timer = schedule.after(1, () => ran++, false);
    schedule.take();
    expect(timer.fire()).toBe(true);
    for (let count = 0; count < 5_000; count++) schedule.cancel(timer);
    expect([ran, schedule.size, timer.cancelled]).toEqual([1, 0, true]);
  });
});

function keyed(time: number, rank: number, order: number): ScheduledEvent {
  return event(time, { rank, order });
}

function byKeys(one: ScheduledEvent, other: ScheduledEvent): number {
  return one.time - other.time || one.rank - other.rank || one.order - other.order;
}

function drain(queue: EventQueue): ScheduledEvent[] {
  const all: ScheduledEvent[] = [];
  for (let next = queue.peek(); next !== undefined; next = queue.peek()) {
    all.push(next);
    queue.pop();
  }
  return all;
}
