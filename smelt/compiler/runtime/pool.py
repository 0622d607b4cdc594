"""The native half of the thread pool, as LLVM text: `smelt_parallel`, and the loop of a worker.

A parallel kernel is a function of a range of iterations. `smelt_parallel` cuts its iterations into
at most 32 chunks, whatever the number of threads. The caller claims them from the first on, workers
from the last on, until all are claimed: so the same core mostly meets the same rows again, in the
next kernel and the next step, and finds them in its cache. Who joins says so in `inside` before it
looks whether the job is `joinable`; who ends the job closes it and waits until nobody is inside.
(Both orders are sequentially consistent, so one sees the other.)

Workers without a job spin for a while, then park on a condition variable. While some step runs
(`smelt_enter` to `smelt_leave`) they spin 20 times as long, because its next kernel is near.

An owned pool (another thread's step, or no workers at all) makes the caller do all chunks itself.
"""

from __future__ import annotations

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
_PAUSE = {
    "x86_64": "call void @llvm.x86.sse2.pause()",
    "aarch64": "call void @llvm.aarch64.hint(i32 1)",
}

# one cache line each, so that threads that wait for one do not slow down those that change another
_STATE = """
@generation = internal global i64 0, align 64  ; counts jobs: what spinning workers watch
@joinable = internal global i64 0, align 64    ; whether the present job may be joined
@inside = internal global i64 0, align 64      ; workers that are in the present job
@next = internal global i64 0, align 64        ; chunks that are claimed
@back = internal global i64 0, align 64        ; of which workers claimed, from the last one on
@owned = internal global i64 0, align 64       ; whether a caller owns the pool
@active = internal global i64 0, align 64      ; steps that are running
@parked = internal global i64 0, align 64      ; workers that are parked, or are about to be
@stopped = internal global i64 0, align 64     ; whether workers shall leave
@job = internal global {ptr, ptr, i64, i64} zeroinitializer, align 64
@workers = internal global i64 0, align 64
@spin_budget = internal global i64 0           ; spins before a worker parks
@mutex = internal global [16 x i64] zeroinitializer, align 64
@condition = internal global [16 x i64] zeroinitializer, align 64

declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)
declare i32 @sched_yield()
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
  br i1 %owner, label %publish, label %serial
serial:
  call void %function(ptr %pointers, i64 0, i64 %iterations)
  ret void
publish:
  %more = add i64 %iterations, 31
  %chunk = sdiv i64 %more, 32
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
  %yielded = call i32 @sched_yield()
  br label %again
again:
  br label %wait
finish:
  store atomic i64 0, ptr @owned release, align 8
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
define void @smelt_worker() nounwind {
entry:
  %first = load atomic i64, ptr @generation seq_cst, align 8
  %gone = load atomic i64, ptr @stopped seq_cst, align 8
  %too_late = icmp ne i64 %gone, 0
  br i1 %too_late, label %end, label %idle
idle:
  %seen = phi i64 [%first, %entry], [%found, %on]
  %spins = load i64, ptr @spin_budget
  %long = mul i64 %spins, 20
  br label %spin
spin:
  %turn = phi i64 [0, %idle], [%following, %pause]
  %now = load atomic i64, ptr @generation acquire, align 8
  %changed = icmp ne i64 %now, %seen
  br i1 %changed, label %join, label %pause
pause:
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
  %may = icmp ne i64 %is_joinable, 0
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
  store atomic i64 %count, ptr @workers seq_cst, align 8
  ret void
}

define void @smelt_stop() nounwind {
  store atomic i64 0, ptr @workers seq_cst, align 8
  store atomic i64 1, ptr @stopped seq_cst, align 8
  %old = atomicrmw add ptr @generation, i64 1 seq_cst
  call void @wake()
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
    """Returns the pool's LLVM module for a CPU; where it has no pause instruction, none is used."""
    pause = _PAUSE.get(triple.partition("-")[0], "")
    return (_STATE + _CALLER + _WORKER).replace("PAUSE", pause)
