// RUN: tilecast-opt %s -p lower-opaque,eliminate-common-subexpressions --split-input-file | filecheck %s

// The source is copied where it is not the result already, then updated in order; an index outside
// writes nothing.
func.func private @scatter(%x: tensor<8xf32>, %i: tensor<3xi64>, %u: tensor<3xf32>) -> tensor<8xf32> {
  %0 = "graph.scatter"(%x, %u, %i) <{fn = "add", dim = #builtin.int<0>}> : (tensor<8xf32>, tensor<3xf32>, tensor<3xi64>) -> tensor<8xf32>
  func.return %0 : tensor<8xf32>
}

// CHECK:      func.func @scatter(%x: memref<8xf32>, %i: memref<3xi64>, %u: memref<3xf32>, %out: memref<8xf32>) attributes {tilecast.in_place = #builtin.int<0>, tilecast.roles = ["in", "in", "in", "out"]} {
// CHECK-NEXT:   %0 = "memory.apart"(%x, %out) : (memref<8xf32>, memref<8xf32>) -> i1
// CHECK-NEXT:   scf.if %0 {
// CHECK-NEXT:     %1 = arith.constant 0 : index
// CHECK-NEXT:     %2 = arith.constant 8 : index
// CHECK-NEXT:     %3 = arith.constant 1 : index
// CHECK-NEXT:     scf.for %4 = %1 to %2 step %3 {
// CHECK-NEXT:       %5 = memref.load %x[%4] : memref<8xf32>
// CHECK-NEXT:       memref.store %5, %out[%4] : memref<8xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:   }
// CHECK-NEXT:   %6 = arith.constant 0 : index
// CHECK-NEXT:   %7 = arith.constant 3 : index
// CHECK-NEXT:   %8 = arith.constant 1 : index
// CHECK-NEXT:   scf.for %9 = %6 to %7 step %8 {
// CHECK-NEXT:     %10 = memref.load %i[%9] : memref<3xi64>
// CHECK-NEXT:     %11 = arith.index_cast %10 : i64 to index
// CHECK-NEXT:     %12 = arith.constant 8 : index
// CHECK-NEXT:     %13 = arith.cmpi ult, %11, %12 : index
// CHECK-NEXT:     scf.if %13 {
// CHECK-NEXT:       %14 = memref.load %u[%9] : memref<3xf32>
// CHECK-NEXT:       %15 = memref.load %out[%11] : memref<8xf32>
// CHECK-NEXT:       %16 = arith.addf %15, %14 : f32
// CHECK-NEXT:       memref.store %16, %out[%11] : memref<8xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:   }
// CHECK-NEXT:   func.return
// CHECK-NEXT: }

// -----

// Few positions are inserted into a short list; the key of a float is an integer of the same order.
func.func private @topk(%x: tensor<9xf32>) -> tensor<2xi64> {
  %0 = "graph.argsort"(%x) <{dim = #builtin.int<0>, descending = true, count = #builtin.int<2>}> : (tensor<9xf32>) -> tensor<2xi64>
  func.return %0 : tensor<2xi64>
}

// CHECK:      func.func @topk(%x: memref<9xf32>, %out: memref<2xi64>) attributes {tilecast.roles = ["in", "out"]} {
// CHECK-NEXT:   %0 = arith.constant 0 : index
// CHECK-NEXT:   %1 = memref.alloca() : memref<2xi64>
// CHECK-NEXT:   %2 = arith.constant 2 : index
// CHECK-NEXT:   %3 = arith.constant 1 : index
// CHECK-NEXT:   scf.for %4 = %0 to %2 step %3 {
// CHECK-NEXT:     %5 = arith.constant 9223372036854775807 : i64
// CHECK-NEXT:     memref.store %5, %1[%4] : memref<2xi64>
// CHECK-NEXT:   }
// CHECK-NEXT:   %6 = arith.constant 9 : index
// CHECK-NEXT:   scf.for %7 = %0 to %6 step %3 {
// CHECK-NEXT:     %8 = memref.load %x[%7] : memref<9xf32>
// CHECK-NEXT:     %9 = arith.constant 2147483647 : i32
// CHECK-NEXT:     %10 = arith.constant 0.000000e+00 : f32
// CHECK-NEXT:     %11 = arith.addf %8, %10 : f32
// CHECK-NEXT:     %12 = arith.bitcast %11 : f32 to i32
// CHECK-NEXT:     %13 = arith.constant 31 : i32
// CHECK-NEXT:     %14 = arith.shrsi %12, %13 : i32
// CHECK-NEXT:     %15 = arith.andi %14, %9 : i32
// CHECK-NEXT:     %16 = arith.xori %12, %15 : i32
// CHECK-NEXT:     %17 = arith.cmpf une, %8, %8 : f32
// CHECK-NEXT:     %18 = arith.select %17, %9, %16 : i32
// CHECK-NEXT:     %19 = arith.extsi %18 : i32 to i64
// CHECK-NEXT:     %20 = arith.constant -1 : i64
// CHECK-NEXT:     %21 = arith.xori %19, %20 : i64
// CHECK-NEXT:     %22 = arith.index_cast %7 : index to i64
// CHECK-NEXT:     %23 = arith.constant 32 : i64
// CHECK-NEXT:     %24 = arith.shli %21, %23 : i64
// CHECK-NEXT:     %25 = arith.ori %24, %22 : i64
// CHECK-NEXT:     %26 = memref.load %1[%3] : memref<2xi64>
// CHECK-NEXT:     %27 = arith.cmpi slt, %25, %26 : i64
// CHECK-NEXT:     scf.if %27 {
// CHECK-NEXT:       %28 = scf.for %29 = %0 to %2 step %3 iter_args(%30 = %25) -> (i64) {
// CHECK-NEXT:         %31 = memref.load %1[%29] : memref<2xi64>
// CHECK-NEXT:         %32 = arith.cmpi slt, %30, %31 : i64
// CHECK-NEXT:         %33 = arith.select %32, %30, %31 : i64
// CHECK-NEXT:         memref.store %33, %1[%29] : memref<2xi64>
// CHECK-NEXT:         %34 = arith.select %32, %31, %30 : i64
// CHECK-NEXT:         scf.yield %34 : i64
// CHECK-NEXT:       }
// CHECK-NEXT:     }
// CHECK-NEXT:   }
// CHECK-NEXT:   scf.for %35 = %0 to %2 step %3 {
// CHECK-NEXT:     %36 = memref.load %1[%35] : memref<2xi64>
// CHECK-NEXT:     %37 = arith.constant 4294967295 : i64
// CHECK-NEXT:     %38 = arith.andi %36, %37 : i64
// CHECK-NEXT:     memref.store %38, %out[%35] : memref<2xi64>
// CHECK-NEXT:   }
// CHECK-NEXT:   func.return
// CHECK-NEXT: }

// -----

// Many are merged, from one half of the scratch memory to the other; a wide key has its position beside it.
func.func private @sort(%x: tensor<30xi64>) -> tensor<30xi64> {
  %0 = "graph.argsort"(%x) <{dim = #builtin.int<0>, descending = false, count = #builtin.int<30>}> : (tensor<30xi64>) -> tensor<30xi64>
  func.return %0 : tensor<30xi64>
}

// CHECK:      func.func @sort(%x: memref<30xi64>, %out: memref<30xi64>, %records: memref<1x2x30xi64>, %positions: memref<1x2x30xi64>) attributes {tilecast.roles = ["in", "out", "scratch", "scratch"]} {
// CHECK-NEXT:   %0 = arith.constant 0 : index
// CHECK-NEXT:   %1 = arith.constant 30 : index
// CHECK-NEXT:   %2 = arith.constant 1 : index
// CHECK-NEXT:   scf.for %3 = %0 to %1 step %2 {
// CHECK-NEXT:     %4 = memref.load %x[%3] : memref<30xi64>
// CHECK-NEXT:     %5 = arith.index_cast %3 : index to i64
// CHECK-NEXT:     memref.store %4, %records[%0, %0, %3] : memref<1x2x30xi64>
// CHECK-NEXT:     memref.store %5, %positions[%0, %0, %3] : memref<1x2x30xi64>
// CHECK-NEXT:   }
// CHECK-NEXT:   %6 = arith.constant 5 : index
// CHECK-NEXT:   %7, %8 = scf.for %9 = %0 to %6 step %2 iter_args(%10 = %2, %11 = %0) -> (index, index) {
// CHECK-NEXT:     %12 = arith.subi %2, %11 : index
// CHECK-NEXT:     %13 = arith.addi %10, %10 : index
// CHECK-NEXT:     %14 = arith.divsi %1, %13 : index
// CHECK-NEXT:     %15 = arith.muli %14, %13 : index
// CHECK-NEXT:     scf.for %16 = %0 to %15 step %13 {
// CHECK-NEXT:       %17 = arith.addi %16, %10 : index
// CHECK-NEXT:       %18 = arith.addi %17, %10 : index
// CHECK-NEXT:       %19, %20 = scf.for %21 = %0 to %10 step %2 iter_args(%22 = %0, %23 = %0) -> (index, index) {
// CHECK-NEXT:         %24 = arith.addi %16, %22 : index
// CHECK-NEXT:         %25 = memref.load %records[%0, %11, %24] : memref<1x2x30xi64>
// CHECK-NEXT:         %26 = arith.subi %21, %22 : index
// CHECK-NEXT:         %27 = arith.addi %17, %26 : index
// CHECK-NEXT:         %28 = memref.load %records[%0, %11, %27] : memref<1x2x30xi64>
// CHECK-NEXT:         %29 = arith.cmpi sle, %25, %28 : i64
// CHECK-NEXT:         %30 = arith.addi %16, %21 : index
// CHECK-NEXT:         %31 = arith.select %29, %24, %27 : index
// CHECK-NEXT:         %32 = arith.select %29, %25, %28 : i64
// CHECK-NEXT:         memref.store %32, %records[%0, %12, %30] : memref<1x2x30xi64>
// CHECK-NEXT:         %33 = memref.load %positions[%0, %11, %31] : memref<1x2x30xi64>
// CHECK-NEXT:         memref.store %33, %positions[%0, %12, %30] : memref<1x2x30xi64>
// CHECK-NEXT:         %34 = arith.subi %17, %2 : index
// CHECK-NEXT:         %35 = arith.subi %21, %23 : index
// CHECK-NEXT:         %36 = arith.subi %34, %35 : index
// CHECK-NEXT:         %37 = memref.load %records[%0, %11, %36] : memref<1x2x30xi64>
// CHECK-NEXT:         %38 = arith.subi %18, %2 : index
// CHECK-NEXT:         %39 = arith.subi %38, %23 : index
// CHECK-NEXT:         %40 = memref.load %records[%0, %11, %39] : memref<1x2x30xi64>
// CHECK-NEXT:         %41 = arith.cmpi sle, %37, %40 : i64
// CHECK-NEXT:         %42 = arith.subi %38, %21 : index
// CHECK-NEXT:         %43 = arith.select %41, %39, %36 : index
// CHECK-NEXT:         %44 = arith.select %41, %40, %37 : i64
// CHECK-NEXT:         memref.store %44, %records[%0, %12, %42] : memref<1x2x30xi64>
// CHECK-NEXT:         %45 = memref.load %positions[%0, %11, %43] : memref<1x2x30xi64>
// CHECK-NEXT:         memref.store %45, %positions[%0, %12, %42] : memref<1x2x30xi64>
// CHECK-NEXT:         %46 = arith.addi %22, %2 : index
// CHECK-NEXT:         %47 = arith.select %29, %46, %22 : index
// CHECK-NEXT:         %48 = arith.addi %23, %2 : index
// CHECK-NEXT:         %49 = arith.select %41, %48, %23 : index
// CHECK-NEXT:         scf.yield %47, %49 : index, index
// CHECK-NEXT:       }
// CHECK-NEXT:     }
// CHECK-NEXT:     %50 = arith.addi %15, %10 : index
// CHECK-NEXT:     %51 = arith.minsi %50, %1 : index
// CHECK-NEXT:     %52 = arith.constant 29 : index
// CHECK-NEXT:     %53 = scf.for %54 = %15 to %1 step %2 iter_args(%55 = %15) -> (index) {
// CHECK-NEXT:       %56 = arith.addi %51, %54 : index
// CHECK-NEXT:       %57 = arith.subi %56, %55 : index
// CHECK-NEXT:       %58 = arith.minsi %55, %52 : index
// CHECK-NEXT:       %59 = memref.load %records[%0, %11, %58] : memref<1x2x30xi64>
// CHECK-NEXT:       %60 = arith.minsi %57, %52 : index
// CHECK-NEXT:       %61 = memref.load %records[%0, %11, %60] : memref<1x2x30xi64>
// CHECK-NEXT:       %62 = arith.cmpi sle, %59, %61 : i64
// CHECK-NEXT:       %63 = arith.cmpi sge, %57, %1 : index
// CHECK-NEXT:       %64 = arith.cmpi slt, %55, %51 : index
// CHECK-NEXT:       %65 = arith.andi %64, %62 : i1
// CHECK-NEXT:       %66 = arith.ori %63, %65 : i1
// CHECK-NEXT:       %67 = arith.select %66, %58, %60 : index
// CHECK-NEXT:       %68 = arith.select %66, %59, %61 : i64
// CHECK-NEXT:       memref.store %68, %records[%0, %12, %54] : memref<1x2x30xi64>
// CHECK-NEXT:       %69 = memref.load %positions[%0, %11, %67] : memref<1x2x30xi64>
// CHECK-NEXT:       memref.store %69, %positions[%0, %12, %54] : memref<1x2x30xi64>
// CHECK-NEXT:       %70 = arith.addi %55, %2 : index
// CHECK-NEXT:       %71 = arith.select %66, %70, %55 : index
// CHECK-NEXT:       scf.yield %71 : index
// CHECK-NEXT:     }
// CHECK-NEXT:     scf.yield %13, %12 : index, index
// CHECK-NEXT:   }
// CHECK-NEXT:   scf.for %72 = %0 to %1 step %2 {
// CHECK-NEXT:     %73 = memref.load %positions[%0, %2, %72] : memref<1x2x30xi64>
// CHECK-NEXT:     memref.store %73, %out[%72] : memref<30xi64>
// CHECK-NEXT:   }
// CHECK-NEXT:   func.return
// CHECK-NEXT: }

// -----

// Other functions stay as they are.
func.func private @other(%x: tensor<9xf32>) -> tensor<9xf32> {
  func.return %x : tensor<9xf32>
}

// CHECK:      func.func private @other(%x: tensor<9xf32>) -> tensor<9xf32> {
// CHECK-NEXT:   func.return %x : tensor<9xf32>
// CHECK-NEXT: }
