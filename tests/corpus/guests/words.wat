;; Texts out of JSON, into a reaction and the log.
(func (export "on_event") (param $len i32) (result i32) (local $n i32)
    (local.set $n (call $ev_str (i32.const 80) (i32.const 1) (i32.const 4096) (i32.const 48)))
    (if (i32.lt_s (local.get $n) (i32.const 0)) (then (return (local.get $n))))
    (if (i32.gt_s (local.get $n) (i32.const 48)) (then (local.set $n (i32.const 48))))
    (call $log (i32.const 3) (i32.const 4096) (local.get $n))
    (drop (call $publish (i32.const 32) (i32.const 13) (i32.const 4096) (local.get $n) (i32.const 0)))
    (i32.const 0))
