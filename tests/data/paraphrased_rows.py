"""Rows, the same rows in other words, and near misses: rows on the same subject that ask or say something else.

All were written for these tests, one by one, before a threshold was chosen. `development` chooses it, `test` measures.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Said(NamedTuple):
    """What a row asks and answers."""

    question: str
    answer: str


class Triple(NamedTuple):
    """A row, the same in other words, and a near miss."""

    row: Said
    same: Said
    other: Said


TRIPLES: Final = {
    "development": (
        Triple(
            Said("How can I get rid of ants in my kitchen?", "Wipe their trail with vinegar, seal the gaps and keep food in closed jars."),
            Said("What helps against ants in the kitchen?", "Close the cracks, store your food in sealed containers and wash the ants' path with vinegar."),
            Said("How can I get rid of moths in my kitchen?", "Throw infested flour away, clean the shelves and hang up pheromone traps."),
        ),
        Triple(
            Said("Why does the moon look larger near the horizon?", "It is an illusion: beside houses and trees the brain takes it to be farther away and so bigger."),
            Said("What makes the moon appear bigger when it is low in the sky?", "Your brain is fooled: next to trees and buildings it believes that the moon is more distant and hence larger."),
            Said("Why does the moon look red during an eclipse?", "Only red sunlight is bent through the Earth's air onto it, while blue is scattered."),
        ),
        Triple(
            Said("Write a short apology to a customer whose parcel is late.", "We are sorry that your parcel has not arrived yet. It is on its way and should be with you by Friday."),
            Said("Draft a brief note saying sorry to a client for a delayed package.", "Please excuse the delay of your package. It has been sent and will reach you by Friday."),
            Said("Write a short thank-you to a customer whose parcel has arrived.", "Thank you for your order. We are happy that it arrived and hope to see you again."),
        ),
        Triple(
            Said("Explain what inflation is.", "Inflation means that prices rise over time, so that the same money buys less than before."),
            Said("Tell me in simple words what is meant by inflation.", "When prices in general go up and money therefore loses buying power, that is called inflation."),
            Said("Explain what deflation is.", "Deflation means that prices fall over time, so that the same money buys more than before."),
        ),
        Triple(
            Said("Name three exercises that strengthen the back.", "Bridges, planks and rows with a light weight make the back stronger."),
            Said("Which three workouts are good for a stronger back?", "Try planks, the bridge, and rowing with small weights."),
            Said("Name three exercises that strengthen the legs.", "Squats, lunges and calf raises make the legs stronger."),
        ),
        Triple(
            Said("Is it safe to eat bread with a little mold on it?", "No. Mold grows threads deep into bread, so throw the whole loaf away."),
            Said("Can I still eat bread if only a small part is moldy?", "Better not: its threads run through the entire loaf, which belongs into the bin."),
            Said("Is it safe to eat hard cheese with a little mold on it?", "Yes, if you cut the spot off with a wide margin, because hard cheese stops the threads."),
        ),
        Triple(
            Said("Who wrote Pride and Prejudice, and when?", "Jane Austen wrote it; it was published in 1813."),
            Said("Name the author of Pride and Prejudice and the year of its publication.", "The novel appeared in 1813 and is by Jane Austen."),
            Said("Who wrote Sense and Sensibility, and when?", "Jane Austen wrote it; it was published in 1811."),
        ),
        Triple(
            Said("How do I reset my password?", "Click on 'Forgot password' at the login, and follow the link that we send by mail."),
            Said("I can't remember my password, what now?", "On the sign-in page choose 'Forgot password'; we mail you a link to set a new one."),
            Said("How do I change my mail address?", "Open the settings, click on 'Account', and enter the new address there."),
        ),
        Triple(
            Said("Summarize the plot of Romeo and Juliet.", "Two young people of feuding families fall in love, marry in secret, and die by misfortune, which ends the feud."),
            Said("What happens in Romeo and Juliet, in one sentence?", "A boy and a girl whose families are enemies love and secretly wed one another, and their tragic deaths reconcile the houses."),
            Said("Summarize the plot of Macbeth.", "A Scottish general murders his king to take the throne, is driven on by guilt and fear, and is killed."),
        ),
        Triple(
            Said("Give me an idea for a cheap date.", "Pack a picnic, walk to the lake and watch the sun go down."),
            Said("What could a couple do together for little money?", "You might take a picnic to the lake and enjoy the sunset there."),
            Said("Give me an idea for a cheap gift.", "Bake some cookies and put them into a jar with a handwritten label."),
        ),
        Triple(
            Said("Should I take my umbrella today in Oslo?", "Yes, rain is expected from noon on."),
            Said("Will I need an umbrella in Oslo today?", "You will, since it is going to rain in the afternoon."),
            Said("Should I take my umbrella today in Oslo?", "No, it stays dry and sunny all day."),
        ),
        Triple(
            Said("What is the difference between a virus and a bacterium?", "A bacterium is a living cell that multiplies by itself; a virus is no cell and needs a host's cell to multiply."),
            Said("How do viruses and bacteria differ?", "Viruses are not cells and can reproduce only inside of a host cell, whereas bacteria are single cells that divide on their own."),
            Said("What is the difference between a vaccine and an antibiotic?", "A vaccine prepares the immune system beforehand; an antibiotic kills bacteria that are there already."),
        ),
        Triple(
            Said("Convert 5 kilometers to miles.", "5 kilometers are about 3.1 miles."),
            Said("How many miles are 5 kilometers?", "That is roughly 3.1 miles."),
            Said("Convert 5 miles to kilometers.", "5 miles are about 8 kilometers."),
        ),
        Triple(
            Said("How do plants make their food?", "By photosynthesis: with light they turn water and carbon dioxide into sugar and oxygen."),
            Said("Describe how a plant feeds itself.", "It uses sunlight to make sugar out of carbon dioxide and water and gives off oxygen; this is photosynthesis."),
            Said("How do plants breathe at night?", "They take in oxygen and give off carbon dioxide, as animals do, because there is no light."),
        ),
        Triple(
            Said("Suggest a name for a coffee shop by the sea.", "Salt and Beans would be a fitting name."),
            Said("I am opening a café on the beach, what should I call it?", "How about the name Salt and Beans?"),
            Said("Suggest a name for a book shop by the sea.", "Tide and Tales would be a fitting name."),
        ),
        Triple(
            Said("How long do I boil an egg so that the yolk stays soft?", "Six minutes in boiling water, then rinse it with cold water."),
            Said("What is the cooking time of a soft-boiled egg?", "Leave it in boiling water for six minutes and cool it under the tap."),
            Said("How long do I boil an egg so that the yolk gets hard?", "Ten minutes in boiling water, then rinse it with cold water."),
        ),
        Triple(
            Said("Why was the Berlin Wall built?", "East Germany built it in 1961 to stop its people from leaving for the West."),
            Said("For what reason did East Germany put up the Berlin Wall?", "It went up in 1961 because too many citizens fled to West Germany."),
            Said("Why did the Berlin Wall fall?", "Protests and a mistaken announcement in November 1989 made the guards open the gates."),
        ),
        Triple(
            Said("Which is healthier, butter or olive oil?", "Olive oil, because its fats are mostly unsaturated and good for the heart."),
            Said("Is olive oil better for you than butter?", "It is: most of its fat is unsaturated, which the heart likes."),
            Said("Which is cheaper, butter or olive oil?", "Butter, because olive oil is pressed from a costly fruit with a short season."),
        ),
        Triple(
            Said("Rewrite in the passive voice: The cat chased the mouse.", "The mouse was chased by the cat."),
            Said("Put this sentence into the passive: The cat chased the mouse.", "It becomes: The mouse was chased by the cat."),
            Said("Rewrite in the passive voice: The mouse chased the cat.", "The cat was chased by the mouse."),
        ),
        Triple(
            Said("How do I calm a crying baby?", "Hold it close, rock it softly, and check whether it is hungry, wet or tired."),
            Said("My baby won't stop crying. What can I do?", "See whether the child needs food, sleep or a fresh diaper, and rock it gently in your arms."),
            Said("How do I calm a barking dog?", "Find out what it barks at, stay quiet yourself, and reward it when it is silent."),
        ),
    ),
    "test": (
        Triple(
            Said("How do I remove a red wine stain from a carpet?", "Blot it at once, pour soda water on it, then dab with salt or baking soda."),
            Said("I spilled red wine on my rug, how do I get it out?", "Dab up the liquid right away, add sparkling water, and sprinkle baking soda or salt over it."),
            Said("How do I remove a coffee stain from a shirt?", "Rinse it with cold water, rub in some dish soap and wash it as usual."),
        ),
        Triple(
            Said("Why is the sky blue?", "Air scatters blue light more strongly than red, so blue reaches us from all sides."),
            Said("What gives the sky its blue color?", "Short waves of sunlight, which are blue, are scattered the most by the atmosphere and come from everywhere."),
            Said("Why is the sunset red?", "Low sunlight passes through much air, which scatters the blue away and leaves the red."),
        ),
        Triple(
            Said("Write an email declining a job offer.", "Thank you for the offer. After some thought I have decided not to accept it, and wish you all the best."),
            Said("Help me turn down a job offer by email.", "I appreciate your offer very much, yet I have chosen to decline it. I wish your team every success."),
            Said("Write an email accepting a job offer.", "Thank you for the offer. I am glad to accept it, and look forward to starting in May."),
        ),
        Triple(
            Said("What is machine learning?", "A way of programming in which a computer finds patterns in examples instead of following written rules."),
            Said("Define machine learning for a beginner.", "It means that computers learn from examples by spotting patterns, rather than being told each rule."),
            Said("What is cloud computing?", "Renting computers and storage over the internet instead of owning the machines."),
        ),
        Triple(
            Said("List three ways to save water at home.", "Take shorter showers, mend dripping taps and run the washing machine only when it is full."),
            Said("How can a household use less water? Name three things.", "Repair leaking faucets, shower for less time, and wait with the laundry until the machine is full."),
            Said("List three ways to save electricity at home.", "Switch to LED lamps, turn devices off at the plug and wash at low temperatures."),
        ),
        Triple(
            Said("Can dogs eat chocolate?", "No, it holds theobromine, which is poisonous for dogs even in small amounts."),
            Said("Is it okay to give my dog some chocolate?", "It is not: dogs get poisoned by the theobromine in it, and a little may be enough."),
            Said("Can dogs eat carrots?", "Yes, raw or cooked carrots are a healthy snack that most dogs like."),
        ),
        Triple(
            Said("Who painted the Mona Lisa and where does it hang?", "Leonardo da Vinci painted it, and it hangs in the Louvre in Paris."),
            Said("Tell me the painter and the location of the Mona Lisa.", "It is a work of Leonardo da Vinci and can be seen in Paris, in the Louvre."),
            Said("Who painted The Starry Night and where does it hang?", "Vincent van Gogh painted it, and it hangs in the Museum of Modern Art in New York."),
        ),
        Triple(
            Said("How do I cancel my subscription?", "Open your profile, choose 'Subscription' and click on 'Cancel'; it ends with the month."),
            Said("I want to stop paying for my plan, what do I do?", "In your profile there is a 'Subscription' page with a 'Cancel' button. It runs out at the end of the month."),
            Said("How do I renew my subscription?", "Open your profile, choose 'Subscription' and click on 'Renew'; it goes on from today."),
        ),
        Triple(
            Said("Summarize The Tortoise and the Hare.", "A fast hare mocks a slow tortoise, naps during their race and loses, since steady work wins."),
            Said("What is the fable of the tortoise and the hare about?", "The hare is so sure of its speed that it sleeps in the middle of a race, and the slow but persistent tortoise gets there first."),
            Said("Summarize The Fox and the Grapes.", "A fox cannot reach some grapes and says that they are sour anyway."),
        ),
        Triple(
            Said("Suggest an activity for a rainy day with children.", "Build a fort of blankets and read stories in it by the light of a torch."),
            Said("It is raining and the kids are bored, any idea?", "Make a den out of blankets together and tell stories inside with a flashlight."),
            Said("Suggest an activity for a sunny day with children.", "Go to the woods and look for ten different leaves."),
        ),
        Triple(
            Said("Is the museum open on Mondays?", "No, it is closed on Mondays and open on all other days."),
            Said("Can I visit the museum on a Monday?", "Unfortunately not, Monday is the only day on which it is shut."),
            Said("Is the museum open on Mondays?", "Yes, it is open every day from ten to six."),
        ),
        Triple(
            Said("What is the difference between weather and climate?", "Weather is what happens in the air over hours and days; climate is its average over decades."),
            Said("How does climate differ from weather?", "Climate describes the average conditions over many years, while weather is the state of the air from day to day."),
            Said("What is the difference between a hurricane and a tornado?", "A hurricane is a huge storm over the sea that lasts days; a tornado is a narrow whirl over land that lasts minutes."),
        ),
        Triple(
            Said("What is 20 percent of 150?", "20 percent of 150 is 30."),
            Said("Calculate a fifth of 150, that is 20%.", "The result is 30, one fifth of 150."),
            Said("What is 150 percent of 20?", "150 percent of 20 is 30."),
        ),
        Triple(
            Said("How do bees make honey?", "They collect nectar, thicken it by passing it on and fanning it with their wings, and store it in combs."),
            Said("Describe the way in which honey is produced by bees.", "Nectar is gathered, handed from bee to bee, dried with beating wings and kept in the comb."),
            Said("How do bees find flowers?", "They see ultraviolet marks, smell the scent, and learn from the dances of other bees."),
        ),
        Triple(
            Said("Give me a title for an essay about loneliness in cities.", "Alone Among Millions could be its title."),
            Said("My essay is on being lonely in a big city. How should I name it?", "You could call it 'Alone Among Millions'."),
            Said("Give me a title for an essay about noise in cities.", "The Street That Never Sleeps could be its title."),
        ),
        Triple(
            Said("At what temperature do I bake a pizza?", "As hot as the oven gets, at least 250 degrees, for eight minutes."),
            Said("How hot should the oven be for pizza?", "Use the highest setting, 250 degrees or more, and leave it in for eight minutes."),
            Said("At what temperature do I bake meringue?", "At 90 degrees for two hours, so that it dries without browning."),
        ),
        Triple(
            Said("Why did the Titanic sink?", "It struck an iceberg, which tore open so many compartments that it could not stay afloat."),
            Said("What caused the sinking of the Titanic?", "After hitting an iceberg too many of its compartments were flooded for the ship to float."),
            Said("Why did so many people die on the Titanic?", "There were boats for only half of them, and the water was icy."),
        ),
        Triple(
            Said("Is it better to run in the morning or in the evening?", "In the evening the body is warmer and performs a bit better, but the best time is the one that you keep to."),
            Said("Should I go running early or late in the day?", "Whenever you will do it regularly, though muscles are warmer and slightly stronger in the evening."),
            Said("Is it better to run on grass or on asphalt?", "Grass is softer for the joints, asphalt is more even and safer for the ankles."),
        ),
        Triple(
            Said("Make this sentence negative: She likes tea.", "She does not like tea."),
            Said("Turn 'She likes tea' into a negative sentence.", "The negative form is: She does not like tea."),
            Said("Make this sentence a question: She likes tea.", "Does she like tea?"),
        ),
        Triple(
            Said("How can I fall asleep faster?", "Go to bed at the same hour, darken the room and put the phone away an hour before."),
            Said("I lie awake for long at night. What would help?", "Keep fixed bedtimes, avoid your phone in the last hour and make the bedroom dark."),
            Said("How can I wake up more easily?", "Let daylight in, put the alarm across the room and get up at the same hour."),
        ),
    ),
}  # fmt: skip
