{-
   Copyright (c) 2018 The Tidewater Authors

   Licensed under the MIT licence.
-}
-- | The tide as a list of turning points.
module Tide (turningPoints, Turning (..)) where

data Turning = High Double Double | Low Double Double
  deriving (Eq, Show)

-- | The highs and lows of a curve that is sampled at equal steps, each with its time and height.
turningPoints :: Double -> [Double] -> [Turning]
turningPoints step heights = concat (zipWith3 turn [1 ..] heights (zip (drop 1 heights) (drop 2 heights)))
  where
    turn :: Int -> Double -> (Double, Double) -> [Turning]
    turn n before (now, after)
      | before < now && now >= after = [High (time n) now]
      | before > now && now <= after = [Low (time n) now]
      | otherwise = []
    time n = fromIntegral n * step
