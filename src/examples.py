"""Example tweets for notebooks and tests. All were written for this project; none is anyone's real tweet."""

# Raw tweets that contain everything cleaning has to handle.
MESSY_TWEETS = (
    "@maple_fox OMG the bakery on 5th is OPEN again!!! http://bit.ly/notreal1 :-)",
    "RT @rainy_ada: free hot chocolate at the library today &lt;3",
    "rock &amp;amp; roll all nite... and a maths exam @ 9am, great plan",
    "cafÃ© or home? cafÃ©. always cafÃ©.",
    "www.example.com/cats is down AGAIN, what do i do with my life",
    "It&#39;s sooooo cold, my phone died at 80%",
    "Moved into flat 12B &amp; lost the keys within 2hrs. @kettle_and_co HELP",
    "watching the rain\n\nwith tea ☕☕ and zero regrets",
    "new blog post: why cats knock things over -> https://t.co/abc123 #caturday",
    "u r gr8 @tiny_drummer, c u 2moro at the gig!",
    "   so... many... spaces    and dots.....   ",
    "¡mañana volvemos a la playa! see you there",
)

# Prefixes to complete.
PROMPTS = (
    "the weather today",
    "i can't wait to",
    "just got home from",
    "so tired of this",
    "happy birthday to my",
    "i really want to go",
    "good morning everyone hope you",
    "why does my phone always",
    "studying for my exam and i",
    "my dog is the",
)

# Prefixes whose last word is only half typed.
HALF_TYPED = (
    "the weather tod",
    "i cant wait to s",
    "happy birthd",
    "so tired of th",
    "good morning everyone hope you h",
)

# Complete tweets. The last quarter of each is the target.
TWEETS = (
    "the bus is late again and now i am going to miss my class",
    "made pancakes for breakfast and nobody woke up to eat them",
    "thank you so much for the lovely birthday wishes",
    "i think my laptop is about to give up on me",
    "first day at the new job and i already spilled the coffee",
    "cant sleep so i am watching old cartoons with the cat",
    "finally finished my essay time to go to bed",
    "who wants to go to the beach with me this weekend",
    "so hungry right now i could eat a whole pizza",
    "good night everyone i have to get up early tomorrow",
    "just watched the saddest movie ever and i cried so much",
    "it is raining again so i am staying home with my dog",
)

# Complete tweets with rare, misspelt and lengthened words, which a WordPiece tokenizer splits.
RARE_TWEETS = (
    "my hedgehog plays the accordion in a hammock",
    "marshmallowing is my favouritest hobby in winterrrr",
    "sooo exciteddddd for the origami class at 7pm",
)
