// RUN: tilecast-opt %s -p exchange-gathers | filecheck %s

// Two columns of a block of two rows: both rows are loaded and transposed in registers.
func.func @k(%x: memref<8x8xf64>, %y: memref<4xf64>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %c8 = arith.constant 8 : index
  %z = arith.constant 0.0 : f64
  %true = arith.constant true
  %all = vector.broadcast %true : i1 to vector<2xi1>
  %zero = vector.broadcast %z : f64 to vector<2xf64>
  %stride = vector.broadcast %c8 : index to vector<2xindex>
  %step = "vector.step"() : () -> vector<2xindex>
  %at = arith.muli %step, %stride : vector<2xindex>
  %a = "vector.gather"(%x, %c0, %c0, %at, %all, %zero) : (memref<8x8xf64>, index, index, vector<2xindex>, vector<2xi1>, vector<2xf64>) -> vector<2xf64>
  %b = "vector.gather"(%x, %c0, %c1, %at, %all, %zero) : (memref<8x8xf64>, index, index, vector<2xindex>, vector<2xi1>, vector<2xf64>) -> vector<2xf64>
  vector.store %a, %y[%c0] : memref<4xf64>, vector<2xf64>
  vector.store %b, %y[%c2] : memref<4xf64>, vector<2xf64>
  func.return
}

// CHECK:      %[[R0:.*]] = vector.load %x[%c0, %c0] : memref<8x8xf64>, vector<2xf64>
// CHECK:      %[[R1:.*]] = vector.load %x[%c0, %{{.*}}] : memref<8x8xf64>, vector<2xf64>
// CHECK-NEXT: %[[A:.*]], %[[B:.*]] = "vector.exchange"(%[[R0]], %[[R1]]) : (vector<2xf64>, vector<2xf64>) -> (vector<2xf64>, vector<2xf64>)
// CHECK-NEXT: vector.store %[[A]], %y[%c0] : memref<4xf64>, vector<2xf64>
// CHECK-NEXT: vector.store %[[B]], %y[%c2] : memref<4xf64>, vector<2xf64>
