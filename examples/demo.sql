-- A tour of tensorsql on real data: 2,000 photographs of clothing, a small network that names them,
-- and for every photograph a saliency map that shows where the network looked.

-- 1. How often is the network right? PREDICT runs it, as a function like any other.
SELECT COUNT(*) AS images, AVG(CASE WHEN PREDICT(fashion, image) = label THEN 1.0 ELSE 0.0 END) AS accuracy
FROM images;

-- 2. Which classes does it confuse most? Count the mistakes by pair of classes, in either direction.
WITH answers AS (SELECT label, PREDICT(fashion, image) AS prediction FROM images)
SELECT a.name AS one, b.name AS other, COUNT(*) AS times
FROM answers
JOIN classes a ON a.id = LEAST(label, prediction)
JOIN classes b ON b.id = GREATEST(label, prediction)
WHERE label <> prediction
GROUP BY ALL ORDER BY times DESC, one, other LIMIT 5;

-- 3. Where was it wrong because it looked beside the object? CP(mask, region, (low, high)) counts the
--    pixels of a map in a region whose value lies in a range. The share of bright pixels inside the
--    object's box is a ratio of two such counts. Maps without a bright pixel have no share: leave them out.
SELECT image_id, label, prediction,
       CP(mask, box, (0.5, 1.0)) / CP(mask, -, (0.5, 1.0)) AS inside
FROM MasksDatabaseView
WHERE label <> prediction AND CP(mask, -, (0.5, 1.0)) > 0
ORDER BY inside, image_id LIMIT 10;

-- 4. One of them is image 1945, a T-shirt taken for a dress. Which images look alike to the network?
--    Compare them by the three neurons of the last hidden layer that image 1945 fires most.
SELECT t.rank, t.input_id, t.distance, i.label_name
FROM TOPK_SIMILAR(data => images, model => fashion, layer => 'relu3', neurons => TOP_NEURONS(3),
                  input => 1945, k => 10, dist => 'l2') t
JOIN images i ON i.image_id = t.input_id
ORDER BY t.rank;

-- 5. What does a single neuron look for? The ten images that fire neuron 35 most.
SELECT t.rank, t.input_id, t.score, i.label_name
FROM TOPK_HIGHEST(data => images, model => fashion, layer => 'relu3', neurons => [35], k => 10) t
JOIN images i ON i.image_id = t.input_id
ORDER BY t.rank;

-- 6. How little was read? The index on the maps decides most rows without looking at a single pixel:
--    see how many rows it accepted and rejected, and how many had to be verified.
EXPLAIN ANALYZE
SELECT mask_id FROM masks WHERE CP(mask, -, (0.5, 1.0)) > 250;

EXPLAIN ANALYZE
SELECT image_id, CP(mask, box, (0.5, 1.0)) / CP(mask, -, (0.5, 1.0)) AS inside
FROM MasksDatabaseView
WHERE CP(mask, -, (0.5, 1.0)) > 0
ORDER BY inside, image_id LIMIT 10;

-- 7. And how little was run? The index on the neurons picks the few images worth running: see how many
--    inputs went through the network to compare image 787, a pair of trousers taken for a dress, with all.
EXPLAIN ANALYZE
SELECT * FROM TOPK_SIMILAR(data => images, model => fashion, layer => 'relu3', neurons => TOP_NEURONS(3),
                           input => 787, k => 10, dist => 'l2');
