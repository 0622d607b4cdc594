"""The native half of the thread pool, as LLVM text: `smelt_parallel`, and the loop of a worker.

A parallel kernel is a function of a range of iterations. `smelt_parallel` cuts its iterations into
chunks of a 32nd, or of one, whatever the number of threads. The caller claims them from the first
on, workers from the last on, until all are claimed: so the same core mostly gets the same rows
again, in the next kernel and the next step, and finds them in its cache. A worker that joins counts
itself in `inside` before it checks whether the job is `joinable`; the caller ends the job by
clearing `joinable`, and then waits until `inside` is 0. (Both are sequentially consistent, so one
sees the other.)

Workers without a job spin for a while, then park on a condition variable. While some step runs
(`smelt_enter` to `smelt_leave`) they spin 20 times as long, because its next kernel comes soon.

If the pool is owned (by another thread's step), or has no workers, the caller runs all chunks.

A machine with more threads to run than cores suspends a worker in the middle of a chunk, and all
others wait for milliseconds until it runs again. So a job that waits at its end for longer than it
has worked, plus PATIENCE, keeps a worker out of later jobs: that one sleeps for SHARE times the
wait, so that waits take no more than that share of the time, and twice as long each time, up to
LONGEST. After a while without such a wait, that is forgotten. Results do not depend on which thread
runs a chunk.
"""

from __future__ import annotations

import time

EXPORTS = (
    "smelt_parallel",
    "smelt_enter",
    "smelt_leave",
    "smelt_worker",
    "smelt_prepare",
    "smelt_start",
    "smelt_stop",
    "smelt_spin",
)
PATIENCE = 200_000  # nanoseconds
SHARE, LONGEST = 16, 1_000_000_000  # how long a worker is kept out: times the wait, nanoseconds
_PAUSE = {
    "x86_64": "call void @llvm.x86.sse2.pause()",
    "aarch64": "call void @llvm.aarch64.hint(i32 1)",
}

# one cache line each, so that threads that wait for one do not slow down those that change another
_STATE = """
@generation = internal global i64 0, align 64  ; counts jobs: what spinning workers watch
@joinable = internal global i64 0, align 64    ; whether the current job may be joined
@inside = internal global i64 0, align 64      ; workers that are in the current job
@next = internal global i64 0, align 64        ; chunks that are claimed
@back = internal global i64 0, align 64        ; of which workers claimed, from the last one on
@owned = internal global i64 0, align 64       ; whether a caller owns the pool
@active = internal global i64 0, align 64      ; steps that are running
@parked = internal global i64 0, align 64      ; workers that are parked, or are about to be
@stopped = internal global i64 0, align 64     ; whether workers must leave
@job = internal global {ptr, ptr, i64, i64} zeroinitializer, align 64
@workers = internal global i64 0, align 64
@allowed = internal global i64 0, align 64     ; workers that may join, the first ones
@let_in_at = internal global i64 0             ; when one more worker is let in, 0 if all are
@term = internal global i64 0                  ; how long one was kept out the last time
@forgotten_at = internal global i64 0          ; when that is forgotten
@spin_budget = internal global i64 0           ; spins before a worker parks
@mutex = internal global [16 x i64] zeroinitializer, align 64
@condition = internal global [16 x i64] zeroinitializer, align 64  ; there is a job
@let_in = internal global [16 x i64] zeroinitializer, align 64     ; more workers are allowed

declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)
declare i32 @sched_yield()
declare i32 @clock_gettime(i32, ptr)

define internal i64 @now() nounwind {
  %time = alloca [2 x i64]
  %status = call i32 @clock_gettime(i32 CLOCK, ptr %time)
  %seconds = load i64, ptr %time
  %second = getelementptr i64, ptr %time, i64 1
  %rest = load i64, ptr %second
  %nanoseconds = mul i64 %seconds, 1000000000
  %now = add i64 %nanoseconds, %rest
  ret i64 %now
}
"""

_CALLER = """
define void @smelt_parallel(ptr %function, ptr %pointers, i64 %iterations) nounwind {
entry:
  %workers = load atomic i64, ptr @workers monotonic, align 8
  %alone = icmp eq i64 %workers, 0
  br i1 %alone, label %serial, label %try
try:
  %taken = cmpxchg ptr @owned, i64 0, i64 1 acq_rel monotonic
  %owner = extractvalue {i64, i1} %taken, 1
  br i1 %owner, label %own, label %serial
serial:
  call void %function(ptr %pointers, i64 0, i64 %iterations)
  ret void
own:
  %start = call i64 @now()
  call void @admit(i64 %start)
  %helpers = load atomic i64, ptr @allowed monotonic, align 8
  %nobody_may = icmp sle i64 %helpers, 0
  br i1 %nobody_may, label %by_itself, label %publish
by_itself:
  call void %function(ptr %pointers, i64 0, i64 %iterations)
  br label %leave
publish:
  %chunk = sdiv i64 %iterations, 32
  store ptr %function, ptr @job
  store ptr %pointers, ptr getelementptr ({ptr, ptr, i64, i64}, ptr @job, i64 0, i32 1)
  store i64 %iterations, ptr getelementptr ({ptr, ptr, i64, i64}, ptr @job, i64 0, i32 2)
  store i64 %chunk, ptr getelementptr ({ptr, ptr, i64, i64}, ptr @job, i64 0, i32 3)
  store atomic i64 0, ptr @next monotonic, align 8
  store atomic i64 0, ptr @back monotonic, align 8
  %was_joinable = atomicrmw xchg ptr @joinable, i64 1 seq_cst
  %old = atomicrmw add ptr @generation, i64 1 seq_cst
  %waiting = load atomic i64, ptr @parked seq_cst, align 8
  %nobody = icmp eq i64 %waiting, 0
  br i1 %nobody, label %take, label %wake
wake:
  call void @wake()
  br label %take
take:
  call void @work(i1 false)
  %closed = atomicrmw xchg ptr @joinable, i64 0 seq_cst
  br label %wait
wait:
  %turn = phi i64 [0, %take], [%following, %again]
  %since = phi i64 [0, %take], [%then, %again]  ; when it was seen that the wait is long
  %longest = phi i64 [0, %take], [%lost, %again]  ; what is waited beyond patience
  %inside = load atomic i64, ptr @inside seq_cst, align 8
  %done = icmp eq i64 %inside, 0
  br i1 %done, label %finish, label %still
still:
  PAUSE
  %following = add i64 %turn, 1
  %late = and i64 %following, 4095
  %give = icmp eq i64 %late, 0
  br i1 %give, label %yield, label %again
yield:
  %before = call i64 @now()
  %is_first = icmp eq i64 %since, 0
  %noted = select i1 %is_first, i64 %before, i64 %since
  %yielded = call i32 @sched_yield()
  %present = call i64 @now()
  %worked = sub i64 %noted, %start
  %waited = sub i64 %present, %noted
  %patience = add i64 %worked, PATIENCE
  %exceeds = icmp sgt i64 %waited, %patience
  %counted = select i1 %exceeds, i64 %waited, i64 0
  br label %again
again:
  %then = phi i64 [%since, %still], [%noted, %yield]
  %lost = phi i64 [%longest, %still], [%counted, %yield]
  br label %wait
finish:
  %in_time = icmp eq i64 %longest, 0
  br i1 %in_time, label %leave, label %disturbed
disturbed:
  call void @keep_out(i64 %longest)
  br label %leave
leave:
  store atomic i64 0, ptr @owned release, align 8
  ret void
}

; the owner alone calls these two, between jobs
define internal void @keep_out(i64 %waited) noinline nounwind {
  %allowed = load atomic i64, ptr @allowed monotonic, align 8
  %fewer = sub i64 %allowed, 1
  store atomic i64 %fewer, ptr @allowed seq_cst, align 8
  %before = load i64, ptr @term
  %twice = mul i64 %before, 2
  %least = mul i64 %waited, SHARE
  %longer = call i64 @llvm.smax.i64(i64 %twice, i64 %least)
  %term = call i64 @llvm.smin.i64(i64 %longer, i64 LONGEST)
  %present = call i64 @now()
  %until = add i64 %present, %term
  store i64 %term, ptr @term
  store i64 %until, ptr @let_in_at
  ret void
}

define internal void @admit(i64 %present) nounwind {
entry:
  %term = load i64, ptr @term
  %nothing = icmp eq i64 %term, 0
  br i1 %nothing, label %end, label %recent
recent:
  %until = load i64, ptr @let_in_at
  %all_in = icmp eq i64 %until, 0
  br i1 %all_in, label %undisturbed, label %some_out
undisturbed:
  %forgotten_at = load i64, ptr @forgotten_at
  %long_ago = icmp sge i64 %present, %forgotten_at
  br i1 %long_ago, label %forget, label %end
forget:
  store i64 0, ptr @term
  ret void
some_out:
  %over = icmp sge i64 %present, %until
  br i1 %over, label %admitted, label %end
admitted:
  %locked = call i32 @pthread_mutex_lock(ptr @mutex)
  %allowed = load atomic i64, ptr @allowed monotonic, align 8
  %more = add i64 %allowed, 1
  store atomic i64 %more, ptr @allowed seq_cst, align 8
  %woken = call i32 @pthread_cond_broadcast(ptr @let_in)
  %unlocked = call i32 @pthread_mutex_unlock(ptr @mutex)
  %workers = load atomic i64, ptr @workers monotonic, align 8
  %others_out = icmp slt i64 %more, %workers
  %later = add i64 %present, %term
  %next = select i1 %others_out, i64 %later, i64 0
  store i64 %next, ptr @let_in_at
  %eight = mul i64 %term, 8
  %until_then = add i64 %present, %eight
  store i64 %until_then, ptr @forgotten_at
  br label %end
end:
  ret void
}

define internal void @wake() noinline nounwind {
  %locked = call i32 @pthread_mutex_lock(ptr @mutex)
  %woken = call i32 @pthread_cond_broadcast(ptr @condition)
  %unlocked = call i32 @pthread_mutex_unlock(ptr @mutex)
  ret void
}

define internal void @work(i1 %from_back) nounwind {
entry:
  %function = load ptr, ptr @job
  %pointers = load ptr, ptr getelementptr ({ptr, ptr, i64, i64}, ptr @job, i64 0, i32 1)
  %iterations = load i64, ptr getelementptr ({ptr, ptr, i64, i64}, ptr @job, i64 0, i32 2)
  %given = load i64, ptr getelementptr ({ptr, ptr, i64, i64}, ptr @job, i64 0, i32 3)
  %chunk = call i64 @llvm.smax.i64(i64 %given, i64 1)
  %rounded = add i64 %iterations, %chunk
  %above = sub i64 %rounded, 1
  %chunks = sdiv i64 %above, %chunk
  %last = sub i64 %chunks, 1
  br label %claim
claim:
  %front = phi i64 [0, %entry], [%front_next, %body]
  %ticket = atomicrmw add ptr @next, i64 1 monotonic
  %left = icmp slt i64 %ticket, %chunks
  br i1 %left, label %pick, label %done
pick:
  br i1 %from_back, label %take_back, label %body
take_back:
  %taken = atomicrmw add ptr @back, i64 1 monotonic
  %mirrored = sub i64 %last, %taken
  br label %body
body:
  %number = phi i64 [%front, %pick], [%mirrored, %take_back]
  %front_next = add i64 %front, 1
  %begin = mul i64 %number, %chunk
  %whole = add i64 %begin, %chunk
  %end = call i64 @llvm.smin.i64(i64 %whole, i64 %iterations)
  call void %function(ptr %pointers, i64 %begin, i64 %end)
  br label %claim
done:
  ret void
}

define void @smelt_enter() nounwind {
  %old = atomicrmw add ptr @active, i64 1 monotonic
  ret void
}

define void @smelt_leave() nounwind {
  %old = atomicrmw sub ptr @active, i64 1 monotonic
  ret void
}
"""

_WORKER = """
define void @smelt_worker(i64 %number) nounwind {
entry:
  %first = load atomic i64, ptr @generation seq_cst, align 8
  %gone = load atomic i64, ptr @stopped seq_cst, align 8
  %too_late = icmp ne i64 %gone, 0
  br i1 %too_late, label %end, label %idle
idle:
  %seen = phi i64 [%first, %entry], [%found, %on], [%missed, %return]
  %spins = load i64, ptr @spin_budget
  %long = mul i64 %spins, 20
  br label %spin
spin:
  %turn = phi i64 [0, %idle], [%following, %stay]
  %now = load atomic i64, ptr @generation acquire, align 8
  %changed = icmp ne i64 %now, %seen
  br i1 %changed, label %join, label %pause
pause:
  %allowed = load atomic i64, ptr @allowed monotonic, align 8
  %is_out = icmp sge i64 %number, %allowed
  br i1 %is_out, label %aside, label %stay
aside:
  %held = call i32 @pthread_mutex_lock(ptr @mutex)
  br label %outside
outside:
  %let = load atomic i64, ptr @allowed seq_cst, align 8
  %still_out = icmp sge i64 %number, %let
  %ended = load atomic i64, ptr @stopped seq_cst, align 8
  %goes_on = icmp eq i64 %ended, 0
  %must_wait = and i1 %still_out, %goes_on
  br i1 %must_wait, label %doze, label %return
doze:
  %dozed = call i32 @pthread_cond_wait(ptr @let_in, ptr @mutex)
  br label %outside
return:
  %freed = call i32 @pthread_mutex_unlock(ptr @mutex)
  %missed = load atomic i64, ptr @generation seq_cst, align 8
  br i1 %goes_on, label %idle, label %end
stay:
  PAUSE
  %following = add i64 %turn, 1
  %active = load atomic i64, ptr @active monotonic, align 8
  %running = icmp sgt i64 %active, 0
  %budget = select i1 %running, i64 %long, i64 %spins
  %is_spent = icmp sge i64 %following, %budget
  br i1 %is_spent, label %park, label %spin
park:
  %locked = call i32 @pthread_mutex_lock(ptr @mutex)
  %counted = atomicrmw add ptr @parked, i64 1 seq_cst
  br label %sleep
sleep:
  %present = load atomic i64, ptr @generation seq_cst, align 8
  %same = icmp eq i64 %present, %seen
  br i1 %same, label %rest, label %rise
rest:
  %waited = call i32 @pthread_cond_wait(ptr @condition, ptr @mutex)
  br label %sleep
rise:
  %left = atomicrmw sub ptr @parked, i64 1 seq_cst
  %unlocked = call i32 @pthread_mutex_unlock(ptr @mutex)
  br label %join
join:
  %found = phi i64 [%now, %spin], [%present, %rise]
  %came = atomicrmw add ptr @inside, i64 1 seq_cst
  %is_joinable = load atomic i64, ptr @joinable seq_cst, align 8
  %is_open = icmp ne i64 %is_joinable, 0
  %limit = load atomic i64, ptr @allowed seq_cst, align 8
  %is_in = icmp slt i64 %number, %limit
  %may = and i1 %is_open, %is_in
  br i1 %may, label %help, label %out
help:
  call void @work(i1 true)
  br label %out
out:
  %went = atomicrmw sub ptr @inside, i64 1 seq_cst
  %stop = load atomic i64, ptr @stopped acquire, align 8
  %stopping = icmp ne i64 %stop, 0
  br i1 %stopping, label %end, label %on
on:
  br label %idle
end:
  ret void
}

define void @smelt_prepare(i64 %spins) nounwind {
  %mutex = call i32 @pthread_mutex_init(ptr @mutex, ptr null)
  %condition = call i32 @pthread_cond_init(ptr @condition, ptr null)
  %let_in = call i32 @pthread_cond_init(ptr @let_in, ptr null)
  store i64 0, ptr @allowed
  store i64 0, ptr @let_in_at
  store i64 0, ptr @term
  store i64 0, ptr @joinable
  store i64 0, ptr @inside
  store i64 0, ptr @owned
  store i64 0, ptr @active
  store i64 0, ptr @parked
  store i64 0, ptr @workers
  store i64 %spins, ptr @spin_budget
  ret void
}

define void @smelt_start(i64 %count) nounwind {
  store atomic i64 0, ptr @stopped seq_cst, align 8
  store i64 0, ptr @let_in_at
  store atomic i64 %count, ptr @allowed seq_cst, align 8
  store atomic i64 %count, ptr @workers seq_cst, align 8
  ret void
}

define void @smelt_stop() nounwind {
  store atomic i64 0, ptr @workers seq_cst, align 8
  store atomic i64 1, ptr @stopped seq_cst, align 8
  %old = atomicrmw add ptr @generation, i64 1 seq_cst
  call void @wake()
  %locked = call i32 @pthread_mutex_lock(ptr @mutex)
  %woken = call i32 @pthread_cond_broadcast(ptr @let_in)
  %unlocked = call i32 @pthread_mutex_unlock(ptr @mutex)
  ret void
}

define void @smelt_spin(i64 %count) nounwind {
entry:
  br label %spin
spin:
  %turn = phi i64 [0, %entry], [%following, %spin]
  %now = load atomic i64, ptr @generation acquire, align 8
  PAUSE
  %following = add i64 %turn, 1
  %more = icmp slt i64 %following, %count
  br i1 %more, label %spin, label %end
end:
  ret void
}
"""


def pool_text(triple: str) -> str:
    """Returns the pool's LLVM module for a CPU; without a pause instruction, none is used."""
    numbers = {
        "CLOCK": time.CLOCK_MONOTONIC, "PATIENCE": PATIENCE, "SHARE": SHARE, "LONGEST": LONGEST,
    }  # fmt: skip
    text = _STATE + _CALLER + _WORKER
    for name, number in numbers.items():
        text = text.replace(name, str(number))
    return text.replace("PAUSE", _PAUSE.get(triple.partition("-")[0], ""))
